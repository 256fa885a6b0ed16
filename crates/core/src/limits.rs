//! Every bound of the system, on one page, with its reason.
//!
//! A bound is refused at the door by whoever reads the input, with an error that names it; nothing below checks it again.

use std::time::Duration;

/// A user id, in bytes of UTF-8.
pub const USER_ID_BYTES_MAX: usize = 400;
/// A campaign id or action name: `a-z0-9-`.
pub const SLUG_BYTES_MAX: usize = 63;
/// An attribute or event name, in bytes, without control characters.
pub const NAME_BYTES_MAX: usize = 200;
/// A client's event id or request id, in bytes.
pub const CLIENT_ID_BYTES_MAX: usize = 200;
/// A caller's request id, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Attributes kept for one user.
pub const USER_ATTRIBUTES_MAX: usize = 500;
/// Event names whose behaviour is kept for one user; the profile stays one bounded string.
pub const USER_EVENT_NAMES_MAX: usize = 500;
/// Days a window of behaviour reaches back.
pub const BEHAVIOUR_WINDOW_DAYS_MAX: u16 = 90;
/// Days kept of one event name: a window's, and the one it ends in.
pub const BEHAVIOUR_DAYS_MAX: usize = BEHAVIOUR_WINDOW_DAYS_MAX as usize + 1;
/// One attribute value, as JSON text.
pub const ATTRIBUTE_VALUE_BYTES_MAX: usize = 16 * 1024;
/// An event's properties, as JSON text.
pub const PROPERTIES_BYTES_MAX: usize = 64 * 1024;
/// Nesting of properties, attribute values and entry values.
pub const JSON_DEPTH_MAX: usize = 16;
/// Values given with one manual entry, as JSON text.
pub const VALUES_BYTES_MAX: usize = 64 * 1024;
/// Items of one unary batch.
pub const BATCH_ITEMS_MAX: usize = 1_000;
/// One unary message.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Users of one `EnterUsers` by id.
pub const ENTER_USERS_MAX: usize = 10_000;
/// Users of one `EnterUsers` that waits for what becomes of them.
pub const WAIT_USERS_MAX: usize = 1_000;
/// How long it waits.
pub const WAIT_MAX: Duration = Duration::from_secs(10);
/// Manual entries of whole audiences kept with a campaign, each for a day at least after it is over.
pub const ENTRY_RUNS_MAX: usize = 64;
/// Those of them that are walked at once.
pub const ENTRY_RUNS_OPEN_MAX: usize = 8;

/// Notices that wait with one campaign or destination to be told.
pub const NOTICES_MAX: usize = 16;
/// How long a far end is left alone before that is told.
pub const TOLD_AFTER: Duration = Duration::from_secs(600);

/// Segments that the triggers of live campaigns name, counted for each campaign: every change of a user looks at all of them.
pub const WATCHES_MAX: usize = 64;

/// A campaign's title, in bytes.
pub const TITLE_BYTES_MAX: usize = 200;
/// Tags of a campaign.
pub const TAGS_MAX: usize = 32;
/// Next occurrences of a campaign told at once.
pub const OCCURRENCES_TOLD_MAX: usize = 100;
/// The whole definition of one campaign, as JSON.
pub const CAMPAIGN_BYTES_MAX: usize = 256 * 1024;
/// Headers of one webhook.
pub const HEADERS_MAX: usize = 32;
/// A rendered header value, in bytes.
pub const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Rows of `data` of one webhook.
pub const DATA_ROWS_MAX: usize = 500;
/// Hosts a campaign or secret lists.
pub const HOSTS_MAX: usize = 32;
/// A rendered URL, in bytes.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// A rendered request body, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// A JSON Schema, as text.
pub const JSON_SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Variants of one action.
pub const VARIANTS_MIN: usize = 2;
pub const VARIANTS_MAX: usize = 16;
/// The weight of one variant.
pub const VARIANT_WEIGHT_MAX: u32 = 1_000_000;
/// Text of one template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// Instructions one template may run; a loop over 10**9 ends here within milliseconds.
pub const TEMPLATE_FUEL: u64 = 50_000;
/// Brackets open at once inside one tag, and tags open at once; deeper ones would overflow a stack.
pub const TEMPLATE_NESTING_MAX: usize = 32;
/// Operators in one tag: a chain of them is as deep as it is long.
pub const TEMPLATE_OPERATORS_MAX: usize = 300;
/// Calls within calls while a template runs, in the engine's own unit (a macro costs 4).
pub const TEMPLATE_RECURSION_MAX: usize = 64;
/// Text of one expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 16 * 1024;
/// Nesting of one expression; deeper ones would overflow a stack.
pub const EXPRESSION_DEPTH_MAX: usize = 64;
/// One compiled `matching` pattern, in bytes; a pattern within it matches in linear time and bounded memory.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;
/// `matching` patterns of one expression.
pub const PATTERNS_MAX: usize = 16;
/// Segments of a deployment.
pub const SEGMENTS_MAX: usize = 1_000;
/// Segments inside segments.
pub const SEGMENT_DEPTH_MAX: usize = 16;
/// Segments that one condition asks, those inside them counted: each is matched anew.
pub const SEGMENTS_ASKED_MAX: usize = 256;
/// Segments that an audience includes, and that it excludes.
pub const AUDIENCE_SEGMENTS_MAX: usize = 16;
/// Lists of a deployment; every process holds all of them.
pub const USER_LISTS_MAX: usize = 100;
/// Ids of one list.
pub const USER_LIST_IDS_MAX: usize = 100_000;
/// And together, in bytes.
pub const USER_LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Text of a cron expression, in bytes.
pub const CRON_BYTES_MAX: usize = 256;
/// Times of day of one calendar rule (every five minutes); cron says more often.
pub const EVERY_TIMES_MAX: usize = 288;
/// Days named by one calendar rule, repeats included.
pub const EVERY_DAYS_MAX: usize = 64;
/// `every N days`, and N weeks or months: a century.
pub const EVERY_N_DAYS_MAX: u32 = 36_525;
pub const EVERY_N_WEEKS_MAX: u32 = 5_218;
pub const EVERY_N_MONTHS_MAX: u32 = 1_200;
/// Dates a recurring campaign skips.
pub const SKIP_DATES_MAX: usize = 1_000;
/// Missed occurrences are counted up to this: after a year without a scheduler a per-second rule missed 31 million.
pub const MISSED_COUNT_MAX: u32 = 1_000;
/// Values of one secret (several while it rotates).
pub const SECRET_VALUES_MAX: usize = 8;
/// One secret value, in bytes.
pub const SECRET_BYTES_MAX: usize = 8 * 1024;
/// Users of a campaign whose planned sends are cancelled one by one; each is a rule that every sender reads.
pub const CANCELLED_USERS_MAX: usize = 1_000;

/// Secrets of a deployment.
pub const SECRETS_MAX: usize = 1_000;
/// Access tokens of a deployment.
pub const TOKENS_MAX: usize = 1_000;
/// Bytes of an access token as it is shown.
pub const TOKEN_TEXT_BYTES_MAX: usize = 128;

/// Bytes of a response body that are read; the rest is discarded and the connection closed.
pub const RESPONSE_BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a response body kept with an attempt that did not succeed.
pub const RESPONSE_KEPT_BYTES_MAX: usize = 1024;
/// Bytes of response headers that are read.
pub const RESPONSE_HEADER_BYTES_MAX: usize = 64 * 1024;
/// Time to connect.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the whole exchange, connect and response body included.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time-out an operator may set for a destination.
pub const DESTINATION_TIMEOUT_MAX: Duration = Duration::from_secs(90);
/// Requests under way at once that an operator may allow a destination.
pub const DESTINATION_CONCURRENCY_MAX: u32 = 10_000;
/// Destinations that an operator set something for: every sender keeps them in memory.
pub const DESTINATION_POLICIES_MAX: usize = 1_000;
/// Destinations in trouble that senders tell one another of; further ones each sender judges alone.
pub const BREAKERS_MAX: usize = 1_000;
/// Breakers written by one call.
pub const BREAKERS_SAVED_MAX: usize = 100;
/// A breaker opens on no fewer attempts of a minute.
pub const BREAKER_ATTEMPTS_MIN: u32 = 20;
/// How long it is open the first time; twice as long after each probe that failed.
pub const BREAKER_OPEN_MIN: Duration = Duration::from_secs(60);
pub const BREAKER_OPEN_MAX: Duration = Duration::from_secs(600);
/// How long a lane waits at once for a destination that is left alone: somebody may let it go before.
pub const BREAKER_PARK_MAX: Duration = Duration::from_secs(5);
/// How soon sends look again whether somebody else's probe has ended.
pub const BREAKER_LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Attempts a custom retry list may ask for.
pub const RETRY_WAITS_MAX: usize = 20;
/// `Retry-After` is honoured between these.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// A send not delivered within this of its due time is suppressed as `expired`, unless its campaign says otherwise.
pub const EXPIRY_DEFAULT: Duration = Duration::from_secs(72 * 3600);
/// A missed occurrence younger than this is still run.
pub const CATCH_UP_DEFAULT: Duration = Duration::from_secs(3600);
/// An occurrence noticed within this is on time, however small its `catch_up`: a scheduler looks around in passes.
pub const ON_TIME: Duration = Duration::from_secs(5);
/// Occurrences of a campaign in users' own zones that are under way at once: one an hour, from the first place on earth to the last.
pub const OWN_OCCURRENCES_MAX: usize = 30;
/// Open entries of one user in one campaign that keeps delivery records; then it is full (`entry_limit`).
pub const OPEN_ENTRIES_MAX: usize = 100;
/// Properties that one cancel event compares.
pub const SAME_MAX: usize = 8;
/// Events that one send tells of, and their size in KiB; one more event may go over it. Further ones begin the next digest.
pub const COLLECTED_MAX: u8 = 100;
pub const COLLECTED_KIB_MAX: u16 = 512;
/// Campaigns that set one another off, one after the other; then it is a loop.
pub const HOPS_MAX: u8 = 16;
/// Triggers of one campaign, cancel events likewise.
pub const TRIGGERS_MAX: usize = 64;
/// Actions of a campaign. With the numbers of those that were removed, an action's number stays below 256.
pub const ACTIONS_MAX: usize = 32;
/// Events that end an entry.
pub const EXITS_MAX: usize = 16;
/// Occurrences of one campaign that are walked at once; one that comes due beyond them is missed.
pub const OPEN_OCCURRENCES_MAX: usize = 100;
/// An event older than this counts in behaviour and fires nothing.
pub const EVENT_AGE_MAX: Duration = Duration::from_secs(3600);
/// The longest delay of a triggered send.
pub const DELAY_MAX: Duration = Duration::from_secs(400 * 24 * 3600);
/// The longest time in which a send is good.
pub const EXPIRY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// A send whose due instant is past for longer than this when it is planned is suppressed as `late`.
pub const LATE_AFTER: Duration = Duration::from_secs(3600);

/// Caps of a deployment: each is looked at before every send it counts.
pub const CAPS_MAX: usize = 16;
/// Webhooks that one cap may allow: as many reservations of a user are kept for it.
pub const CAP_SENDS_MAX: u32 = 500;
/// The stretch of time of a cap; reservations are kept as long.
pub const CAP_TIME_MIN: Duration = Duration::from_secs(60);
pub const CAP_TIME_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// The shortest minimum gap; the longest is a cap's time.
pub const MIN_GAP_MIN: Duration = Duration::from_secs(1);
/// Sends whose caps are reserved, looked at or released in one call.
pub const CAP_ASKS_MAX: usize = 64;

/// Sends a second that a campaign's throttle may allow.
pub const THROTTLE_PER_SEC_MAX: u64 = 1_000_000;

/// Sends of one claim. The fence's index byte counts them.
pub const CLAIM_MAX: usize = 128;
/// Sends settled in one call.
pub const SETTLE_MAX: usize = 64;
/// Entries moved by one release, added by one `add`.
pub const MOVE_MAX: usize = 512;
/// Users walked by one fan-out step.
pub const ADVANCE_MAX: usize = 1_000;
/// Events read by one event pass of a shard.
pub const EVENTS_READ_MAX: usize = 250;
/// What the entries of one event commit keep of their events, in bytes; one more event may go over it.
pub const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Events accepted by one call.
pub const ACCEPT_MAX: usize = 500;
/// Expired leases taken back by one call.
pub const RECLAIM_MAX: usize = 100;
/// A send whose lease ran out this often fails as `abandoned`: it probably kills its sender.
pub const REDELIVERIES_MAX: u8 = 5;
/// A lease lasts the exchange time-out and this.
pub const LEASE_SLACK: Duration = Duration::from_secs(15);
/// A fan-out waits while its own lane in that shard holds this many sends.
pub const LANE_HIGH_WATER: usize = 4_096;
/// Events waiting in one shard's log; more are refused.
pub const EVENT_LOG_MAX: usize = 100_000;
/// Rows of the send log kept in one shard.
pub const LOG_ROWS_MAX: usize = 100_000;
/// And for how long.
pub const LOG_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Failed sends kept in one shard.
pub const FAILED_MAX: usize = 100_000;
/// And for how long, with their requests.
pub const FAILED_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Campaigns of which it is remembered what one user had; a history is about 60 bytes.
pub const HISTORIES_MAX: usize = 128;
/// Of more, so many at once are forgotten: looking for the oldest costs as much as remembering a hundred.
pub const HISTORIES_FORGOTTEN: usize = 16;
/// Campaigns that one campaign's conditions ask about.
pub const HISTORIES_ASKED_MAX: usize = 16;
/// Histories read by one call.
pub const HISTORIES_READ_MAX: usize = 2_000;
/// How long after a send an event counts as its success, where nothing is said; and at most.
pub const CONVERSION_DEFAULT: Duration = Duration::from_secs(3 * 24 * 3600);
pub const CONVERSION_MAX: Duration = Duration::from_secs(90 * 24 * 3600);
/// The last sends of a campaign that decide whether it pauses itself.
pub const AUTO_PAUSE_SENDS: usize = 100;
/// Refusals kept singly, per campaign.
pub const REFUSED_MAX: usize = 1_000;
/// Users looked at to learn which attributes there are, when a campaign is checked.
pub const USERS_LOOKED_AT_MAX: usize = 200;
/// Events kept for watching, rehearsals and the pages of users, in each shard.
pub const RECENT_MAX: usize = 1_000;
/// One of them, with its properties; a longer one is kept without.
pub const RECENT_ITEM_BYTES_MAX: usize = 1024 + 512;
/// Campaigns kept with one of them.
pub const RECENT_MET_MAX: usize = 32;
/// Users or events that a rehearsal tries.
pub const REHEARSED_MAX: usize = 100;
/// Occurrences of one plan; each looks at every user.
pub const PLAN_OCCURRENCES_MAX: usize = 100;
/// How far ahead a plan looks.
pub const PLAN_WINDOW_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Entries of a plan that are told singly, and what their requests may have in bytes.
pub const PLAN_ENTRIES_MAX: usize = 1_000;
pub const PLAN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// An audience above this is confirmed by its number.
pub const AUDIENCE_UNCONFIRMED_MAX: i64 = 1_000;
/// Rows of one page of a listing.
pub const PAGE_MAX: usize = 1_000;
/// A request id answers the same for this long.
pub const REQUEST_KEPT: Duration = Duration::from_secs(24 * 3600);

/// A form posted to the console: a whole definition, percent-encoded, and what is typed beside it.
pub const FORM_BYTES_MAX: usize = 4 * CAMPAIGN_BYTES_MAX;
/// Open pages of the console that are told of news at once; further ones stay as they are.
pub const PAGES_FOLLOWING_MAX: usize = 64;
/// What a client takes as one answer of the control API: a page of large campaigns.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
