"""Split logs into files by what their lines say, byte for byte.

keys      which group each line of a block belongs to
sort      a split → its lines side by side by group, written when it is its turn
pieces    what waits for its turn, in memory or in a spool
outputs   text of all splits, in order → one file a group
frames    what files are made of: plain text, gzip members, seekable zstd frames
names     values of a log → names of files that stay in their folder and never meet
run       the whole of it
"""
