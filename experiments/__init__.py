"""The studies, one per file: the docstring is the record, ``CONFIG`` what it runs, ``QUICK`` what ``--quick`` changes.

Optional: ``PROTOCOLS``, named changes to ``CONFIG``; ``PUBLISHED``, the paper's numbers by (arm, learning rate), which
tables show next to ours; ``ALSO_PUBLISHED``, the same of further metrics, by metric; ``published_curves(config)``;
``claims(config)``, the paper's claims and the rules that judge them. A study that trains nothing has no ``CONFIG``; see
``rnnlab.cli.untrained``.
"""
