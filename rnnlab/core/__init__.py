"""What all packages share: the types of a cell and its arrays, errors of the user, tables for a terminal.

Imports no other package.
"""
