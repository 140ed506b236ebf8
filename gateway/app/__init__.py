"""The composition: one installation opened, its routes, the ASGI service, its maintenance. The command line
calls it.
"""
