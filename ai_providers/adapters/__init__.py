"""One small class per provider; ``http`` is the only module that opens a socket to one."""
