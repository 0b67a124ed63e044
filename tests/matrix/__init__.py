"""The matrix: every route, method and identity, with every way to write an id.

Each combination is a request to the application in this process, sent by somebody to whom a chat
does not belong. None may answer with anything of it, or change anything of it. What there is to
combine is read from the application, so the matrix grows with each route.
"""
