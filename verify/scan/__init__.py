"""Dead neurons and dead layers of a torch module on data: `verify.scan.scanning.scan`, and the command `nonconv scan`.

Nothing is imported here, because the command line looks in and torch takes seconds to import.
"""
