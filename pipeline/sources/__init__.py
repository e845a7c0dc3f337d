"""Details of `pipeline.source`: stores, archives, what is no log. Nothing else imports them."""
