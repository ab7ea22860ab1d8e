"""``matcaps predict``: asks a model about files, in this process or at a service.

command     options, and the run from files to lines
pictures    the files that the words name, and their pairs
place       where a model runs: what both places share
local       in this process, with the service's engine and without HTTP
remote      at a service, with the client
output      the table, JSON, failures, progress
"""
