"""``./hub chaos``: a hub of its own, callers, faults, and a judge that knows only what they left behind.

``plan`` decides from a seed what goes wrong and when; ``blows`` does it; ``callers`` send jobs and write
down what they saw; ``proxy`` stands before the servers; ``evidence`` gathers the callers' history, the
provider's log and the database; ``judge`` says what does not fit together. ``run`` is the command.
"""
