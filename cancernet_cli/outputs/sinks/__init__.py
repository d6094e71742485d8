"""Output sinks: the optional files written per image or slide; each module is an entry (`outputs.sink`)."""
