"""The fold: what stands of an identifier, made from the records of the log one after the other (`gateway help fold`).
Pure: keys come in wrapped already; it knows no pepper, no clock and no database.
"""
