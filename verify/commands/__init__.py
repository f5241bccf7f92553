"""The commands of `nonconv`, a module each: they parse, call and print. All judgement is elsewhere."""
