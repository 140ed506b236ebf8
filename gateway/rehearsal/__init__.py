"""The rehearsal: every way to opt out, said by made-up people at the real doors, against every recipient (L45). The
service and `gateway rehearse` start it.

Plays on a stage of its own: an installation that is made for it with the operator's configuration and this very code,
and thrown away. Nobody made up gets into the true ledger, and nothing leaves the stage.
"""
