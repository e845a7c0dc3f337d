-- What strangers can make a log say.
SELECT process, n
FROM (VALUES
  (1, chr(27) || '[31mred' || chr(27) || ']0;title' || chr(7), 1),
  (2, 'a' || chr(8238) || 'cod.exe' || chr(8296) || chr(8203), 22),
  (3, 'nul' || chr(0) || 'cr' || chr(13) || 'lf' || chr(10) || 'tab' || chr(9) || 'end' || chr(155), 333),
  (4, '<script>alert("1")</script> & </svg>', 4444),
  (5, '| a | `b` | \| [c](javascript:d) ![e](f) *g* _h_ queue_id {{i}}', 55555),
  (6, '=1+1', 6),
  (7, '-2', 7),
  (8, '@sum, "quoted"', 8),
  (9, '漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字', 9),
  (10, '', 10),
  (11, NULL, 11)) AS v(place, process, n)
ORDER BY place
