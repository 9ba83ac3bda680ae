"""The kinds of Event Endpoint Management for the API server of the tests, made from the tables of fields."""
