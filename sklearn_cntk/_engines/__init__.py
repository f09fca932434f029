"""Engines: modules that turn tiles of images into tiles of kernel values.

Every engine offers the same two functions and passes the same tests:

``gram(X, Y, architecture, readouts, *, dtype="float32", triu=None)``
    X (n, P, Q, C) and Y (m, P, Q, C) real arrays of any numeric dtype, finite; returns a new
    float64 array (len(readouts), n, m) with the kernel value of every pair.  With an integer
    `triu`, only the entries that ``numpy.triu(K, triu)`` keeps are computed; what the others
    hold is unspecified.
``pairs(X, Y, architecture, readouts, *, dtype="float32")``
    The same for the n pairs ``(X[i], Y[i])``: float64 (len(readouts), n).

`dtype` is the precision of the recursion, "float32" or "float64".  An engine computes every
readout from one pass over the layers.
"""
