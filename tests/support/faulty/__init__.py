"""The gateway with one fault each: the controls of the power cuts. `python -m support.faulty.NAME serve --dev …`"""
