"""Set prediction of sinusoids in borehole image logs: bedding and fractures as depth, dip, azimuth.

An image log shows the wall of a borehole, (depth, azimuth), the first column at north, clockwise. A
plane that cuts the hole is a sinusoid in it: one pick. The network reads strips of such a log and
returns a fixed number of queries, each a pick or none.
"""
