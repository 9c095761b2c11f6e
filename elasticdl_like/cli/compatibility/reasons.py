"""Why something of ElasticDL is refused, where more than one table or a check says it."""

from __future__ import annotations

PARAMETER_SERVERS_REFUSED = (
    "There are no parameter servers here. Use AllReduce; an embedding must fit into the memory of "
    "one machine."
)
"""Why `ParameterServerStrategy` is refused, and what to use instead."""

OWN_LOOP = (
    "The training loop is that of this project. Write a model definition file and leave the loop "
    "to it."
)

NO_EVALUATORS = "The workers evaluate too; there are no other pods for it."
