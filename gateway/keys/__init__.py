"""Keys, seals and secrets: of the installation, of its callers, and of each person, whose key can be forgotten. app/
opens them.
"""
