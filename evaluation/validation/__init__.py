"""How well metrics agree with radiologists who counted errors: ratings in, tables and a plot out.

ratings        what persons counted, from a CSV of any study or from ReXVal's files
pair_metrics   every metric of the project as one number per pair of texts
harness        Kendall tau-b and mean absolute difference, beside raters left out one by one
page           the result as Markdown and as a picture
"""
