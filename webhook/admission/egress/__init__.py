"""What a change means for the egress of EEM: the way of each need, what a change cuts, the message and a remedy."""
