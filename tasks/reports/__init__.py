"""Reports by way of a language model: what is asked, what comes back, and whether it is kept.

record          one text version of a study, and its Arrow schema
prompts         what is asked, one versioned module per task
facts, places   what is known of a study without its text, as a synthesis is told it
statements      what a report says of each observation, with the words that belong to it
routes          a piece of studies in, report rows and rejected rows out
fidelity        the checks on what came back, each with a reason code
offline_*       a small server that answers by rules, for work without any model
"""
