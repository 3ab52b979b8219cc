"""What runs did, as rows that any tool can query: the contract, its files, and runs under way.

``contract`` names the tables and their columns, ``files`` writes and reads them under the data
root, ``open_runs`` keeps what a run tells until it has ended or is found dead. ``docs/facts.md`` is
the page for users. No table holds report text, or an id of a subject, a study or an image.
"""
