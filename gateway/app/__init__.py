"""The composition: one installation opened, its routes, the ASGI service and its maintenance. The command line calls
it.
"""
