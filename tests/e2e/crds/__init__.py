"""The kinds of Event Endpoint Management as the API server of the tests has them, made from the tables of fields."""
