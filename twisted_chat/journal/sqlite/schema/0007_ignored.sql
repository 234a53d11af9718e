-- Whom people ignore, so that they still do after a restart.

ALTER TABLE person ADD COLUMN ignored TEXT NOT NULL DEFAULT '[]'; -- JSON: [[author, name], …], authors in hexadecimal
