"""Split logs into files by what their lines say, byte for byte.

keys      which group each line of a block belongs to
sort      a split → runs: its lines side by side by group, in a spool; whole frames compressed
frames    what files are made of: plain pieces, gzip members, seekable zstd frames
assemble  runs of all splits, in order → one file a group
names     values of a log → names of files that stay in their folder and never meet
run       the whole of it
"""
