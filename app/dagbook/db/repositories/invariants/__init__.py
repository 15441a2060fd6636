"""What must hold in the database at every deadline, as queries that find nothing while it does.

Each counts on one state of the database, seen in one transaction: what a commit changes together never disagrees.
"""

__all__ = ["findings"]
