"""The crash tests as a part of the product: real servers that are killed, and what has to hold in spite of it.

Each kind is a ``Trial``: it starts servers as processes of their own, on a database that it has to itself, ends them
at moments that a seed decides, and says in the end what is wrong.
"""
