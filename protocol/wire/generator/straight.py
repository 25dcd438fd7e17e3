def names(messages): return set()
def straight(messages): return {}
