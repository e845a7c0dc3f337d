-- What the main job gives: a day, a process, two counts; lines without a stamp come last.
SELECT day::DATE AS day, process, lines::BIGINT AS lines, bytes::HUGEINT AS bytes
FROM (VALUES
  ('2007-12-25', 'postfix/qmgr', 41203, 5604811),
  ('2007-12-25', 'postfix/smtp', 30877, 7003211),
  ('2007-12-25', 'postfix/smtpd', 52100, 6220114),
  ('2007-12-26', 'postfix/qmgr', 160233, 22004518),
  ('2007-12-26', 'postfix/smtp', 188520, 43117002),
  ('2007-12-26', 'postfix/smtpd', 51022, 6100233),
  (NULL, NULL, 3, 12)) AS v(day, process, lines, bytes)
