"""What the service shows of itself, day by day, for auditors: what was in force, what was off, what rehearsals
found.
"""
