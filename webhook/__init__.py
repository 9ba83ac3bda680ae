"""
Judge changes to NetworkPolicies and to IBM Event Endpoint Management (EEM) resources before they are stored.

`netpol` knows what NetworkPolicies mean, `eem` what EEM needs, `admission` what an AdmissionReview asks: these
three are pure. `cluster` and `server` do the IO, `main` puts everything together, `cli` is what people call.
"""
