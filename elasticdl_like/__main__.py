"""`python -m elasticdl_like` is the command `elasticdl`."""

from elasticdl_like.cli.main import main

main()
