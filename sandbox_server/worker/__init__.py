"""The worker: the one program of plum inside a language image. Standard library only.

It serves one language over one Unix socket, runs each execution in a jail and
stays clean itself. `protocol` is what it speaks with the gateway.
"""
