"""Pure decisions: values in, values out.

Belongs here: what follows from a specification and an observation. Does not belong here: clocks,
chance, files, sockets, logging; the import rules check it. Nothing destructive may follow from
"unknown".
"""
