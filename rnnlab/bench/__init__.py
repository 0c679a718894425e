"""How fast training is: our programs and other people's, on the same work, in the same minutes.

Every system runs in processes of its own (``worker``), since neither thread pools nor peak memory can be shared
honestly. ``measure`` starts them, and lets them take turns.
"""
