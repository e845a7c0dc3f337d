"""Tell the whole story of messages: every line of theirs, and of those tied to them.

query     what was asked for → literals to look for, and a test of parsed lines
search    a split → the lines that matter, parsed; all others are only counted
sessions  the lines of smtpd from connect to disconnect, over the blocks of a split
story     lines → messages (reused queue ids told apart) → stories, by what ties them
run       at most two passes: the first finds the queue ids, the second collects their lines
show      stories → text, JSON, tables; page and evidence: a timeline, a folder to hand over
"""
