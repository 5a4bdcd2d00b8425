"""How the shipped networks are made.

Data sets, trainers, export. Needs the extra `train`; nothing that a run needs.
"""
