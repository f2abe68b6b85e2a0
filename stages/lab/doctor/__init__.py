"""The doctor: is this machine ready for the workshop?"""
