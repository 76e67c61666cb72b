"""Studies: does the label graph help on this data?"""
