"""rnnlab: a lab for recurrent cells, trained from many initial values at once."""
