"""How the shipped networks are made: data sets, trainers, export. Needs the extra `train`; nothing that a run needs."""
