-- What each user did, how often, and how often it was refused or failed.
SELECT
    coalesce(actor, '-') AS actor,
    action,
    count(*) AS entries,
    count(*) FILTER (WHERE outcome <> 'done') AS refused_or_failed,
    max(occurred_at) AS last_at
FROM report_v1_audit
WHERE occurred_at >= :since AND occurred_at < :until
GROUP BY coalesce(actor, '-'), action
ORDER BY actor, entries DESC, action;
