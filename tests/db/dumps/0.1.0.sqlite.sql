BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0100');
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at BIGINT NOT NULL, 
	actor TEXT, 
	via TEXT NOT NULL, 
	user_id TEXT, 
	token_id TEXT, 
	token_name TEXT, 
	address TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	action TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	"before" TEXT, 
	"after" TEXT, 
	outcome TEXT NOT NULL, 
	CONSTRAINT ck_audit_outcome_known CHECK (outcome IN ('done', 'refused', 'failed'))
);
INSERT INTO "audit" VALUES(1,1795838191716566,'root','cli',NULL,NULL,NULL,'','','user.create','user','admin',NULL,'{"id":"229578f8-6af5-4ebb-9a4b-4ba7d08e7ade","role":"admin"}','done');
INSERT INTO "audit" VALUES(2,1795838194342931,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','8938137743e29894','login.success','user','admin',NULL,NULL,'done');
INSERT INTO "audit" VALUES(3,1795838194349606,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','e288c7fbc843a198','dag.create','dag','flow',NULL,'{"revision":1,"hash":"74cafedd5f510e9a3c3be89614594838c63d124b21f65edd75689f50496cee4e"}','done');
INSERT INTO "audit" VALUES(4,1795838194357739,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','893334df55eac3e3','dag.create','dag','failing',NULL,'{"revision":1,"hash":"6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38"}','done');
INSERT INTO "audit" VALUES(5,1795838194364205,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','b3859acfaf5cffac','dag.update','dag','flow','{"revision":1,"hash":"74cafedd5f510e9a3c3be89614594838c63d124b21f65edd75689f50496cee4e"}','{"revision":2,"hash":"2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5"}','done');
INSERT INTO "audit" VALUES(6,1795838194373875,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','8306b1cf95a5320b','run.start','run','flow/first',NULL,'{"trigger":"api","dag":"flow","revision":2,"hash":"2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5"}','done');
INSERT INTO "audit" VALUES(7,1795838194568420,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','e80c799ad70669d7','run.start','run','failing/second',NULL,'{"trigger":"api","dag":"failing","revision":1,"hash":"6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38"}','done');
INSERT INTO "audit" VALUES(8,1795838194658691,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','5cd96461728c2afe','run.retry','run','failing/second','{"attempt":1,"status":"failed"}','{"attempt":2}','done');
INSERT INTO "audit" VALUES(9,1795838194742328,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','11bac594fde79164','queue.pause','queue','failing',NULL,NULL,'done');
INSERT INTO "audit" VALUES(10,1795838194755240,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','0573702a5379a51d','run.enqueue','run','failing/waiting-0',NULL,'{"trigger":"api","dag":"failing","revision":1,"hash":"6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38","queue":"failing"}','done');
INSERT INTO "audit" VALUES(11,1795838194772794,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','618913618a588a33','run.enqueue','run','failing/waiting-1',NULL,'{"trigger":"api","dag":"failing","revision":1,"hash":"6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38","queue":"failing"}','done');
INSERT INTO "audit" VALUES(12,1795838194791975,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','e07067aef7ef17f7','run.enqueue','run','failing/waiting-2',NULL,'{"trigger":"api","dag":"failing","revision":1,"hash":"6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38","queue":"failing"}','done');
INSERT INTO "audit" VALUES(13,1795838195253117,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','68b9a866b15ecea4','user.create','user','ann',NULL,'{"id":"e8a8cdc0-c5de-42b1-b74d-a5369683862b","role":"operator"}','done');
INSERT INTO "audit" VALUES(14,1795838195282535,'admin','login','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade',NULL,NULL,'127.0.0.1','be4633c7860d17ba','token.create','token','admin/ci',NULL,'{"id":"ad884440-d700-461f-863d-b2575e546dfd","role":"viewer","expiresAt":null}','done');
CREATE TABLE audit_seals (
	number INTEGER NOT NULL, 
	first_id INTEGER NOT NULL, 
	last_id INTEGER NOT NULL, 
	entries INTEGER NOT NULL, 
	digest TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	signature BLOB NOT NULL, 
	sealed_at BIGINT NOT NULL, 
	pruned_at BIGINT, 
	marks BLOB, 
	CONSTRAINT pk_audit_seals PRIMARY KEY (number), 
	CONSTRAINT ck_audit_seals_number_counts_from_one CHECK (number >= 1), 
	CONSTRAINT ck_audit_seals_range_in_order CHECK (first_id <= last_id), 
	CONSTRAINT ck_audit_seals_entries_not_empty CHECK (entries >= 1), 
	CONSTRAINT ck_audit_seals_hash_length CHECK (length(digest) = 64 AND length(hash) = 64), 
	CONSTRAINT ck_audit_seals_marks_until_pruned CHECK ((marks IS NULL) = (pruned_at IS NOT NULL)), 
	CONSTRAINT uq_audit_seals_last_id UNIQUE (last_id)
);
INSERT INTO "audit_seals" VALUES(1,1,14,14,'34897970951498b01cf1ba8b1525e95d0a7378ecdffd2a836b7e76504d9aeb60','cab313948dcf7fb7ea0fb96d17308535d30e16c916149d851e845158773b0d58',X'01651F37ED4D90FFE0C66340B75E3BF02ABB3C60A7D63FD9C286A26B0633F0645E04A5FFA1816E69748E5482E013E73B4A01B101A15FAE15D7C3680B024B869A35BFF5BBAB',1795838220307052,NULL,X'0000000000000001FB1370C87C13C79E000000000000000215A8CF51B26AB6D40000000000000003712784A5CE1CFF550000000000000004BD1226BB475ACDEE000000000000000554C2547672769D8400000000000000061B17B530C078861E0000000000000007774A4926EAF934F1000000000000000827148EFF68F9FF790000000000000009ACF6C6EFDCD4008C000000000000000A7E82EEC416BDB316000000000000000BC6AE8D1713247203000000000000000C4A968B8A99FC7D3B000000000000000DF4741B03CC82656D000000000000000E01E787B0D58751AF');
CREATE TABLE changes (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	xact BIGINT NOT NULL, 
	at BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	dag_name TEXT, 
	run_id TEXT, 
	root_name TEXT, 
	root_run_id TEXT, 
	attempt INTEGER, 
	status SMALLINT, 
	event INTEGER, 
	data TEXT
);
INSERT INTO "changes" VALUES(1,0,1795838191223256,'begin',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "changes" VALUES(2,0,1795838194353391,'dag','flow',NULL,NULL,NULL,NULL,NULL,NULL,'{"what":"created","file_name":"flow","revision":1}');
INSERT INTO "changes" VALUES(3,0,1795838194358803,'dag','failing',NULL,NULL,NULL,NULL,NULL,NULL,'{"what":"created","file_name":"failing","revision":1}');
INSERT INTO "changes" VALUES(4,0,1795838194366468,'dag','flow',NULL,NULL,NULL,NULL,NULL,NULL,'{"what":"saved","file_name":"flow","revision":2}');
INSERT INTO "changes" VALUES(5,0,1795838194396317,'run','flow','first',NULL,NULL,1,1,3,NULL);
INSERT INTO "changes" VALUES(6,0,1795838194445603,'run','flow','first',NULL,NULL,1,1,5,NULL);
INSERT INTO "changes" VALUES(7,0,1795838194464459,'run','flow','first',NULL,NULL,1,1,8,NULL);
INSERT INTO "changes" VALUES(8,0,1795838194477712,'run','flow','first',NULL,NULL,1,1,8,NULL);
INSERT INTO "changes" VALUES(9,0,1795838194492216,'run','report','5e2yxbWDpeHxayVi2h9JzBT2CwnToBgB5tNT3kqBBRvv','flow','first',1,1,3,NULL);
INSERT INTO "changes" VALUES(10,0,1795838194521994,'run','report','5e2yxbWDpeHxayVi2h9JzBT2CwnToBgB5tNT3kqBBRvv','flow','first',1,4,5,NULL);
INSERT INTO "changes" VALUES(11,0,1795838194531283,'run','flow','first',NULL,NULL,1,1,11,NULL);
INSERT INTO "changes" VALUES(12,0,1795838194545014,'run','flow','first',NULL,NULL,1,6,13,NULL);
INSERT INTO "changes" VALUES(13,0,1795838194569648,'run','failing','second',NULL,NULL,1,1,3,NULL);
INSERT INTO "changes" VALUES(14,0,1795838194597057,'run','failing','second',NULL,NULL,1,1,4,NULL);
INSERT INTO "changes" VALUES(15,0,1795838194612380,'run','failing','second',NULL,NULL,1,1,5,NULL);
INSERT INTO "changes" VALUES(16,0,1795838194619939,'run','failing','second',NULL,NULL,1,2,7,NULL);
INSERT INTO "changes" VALUES(17,0,1795838194669697,'run','failing','second',NULL,NULL,2,1,10,NULL);
INSERT INTO "changes" VALUES(18,0,1795838194694111,'run','failing','second',NULL,NULL,2,1,11,NULL);
INSERT INTO "changes" VALUES(19,0,1795838194706053,'run','failing','second',NULL,NULL,2,1,12,NULL);
INSERT INTO "changes" VALUES(20,0,1795838194717548,'run','failing','second',NULL,NULL,2,2,14,NULL);
INSERT INTO "changes" VALUES(21,0,1795838194743406,'queue',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"queue":"failing"}');
INSERT INTO "changes" VALUES(22,0,1795838194759261,'run','failing','waiting-0',NULL,NULL,1,5,1,NULL);
INSERT INTO "changes" VALUES(23,0,1795838194759298,'queue',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"queue":"failing"}');
INSERT INTO "changes" VALUES(24,0,1795838194776211,'run','failing','waiting-1',NULL,NULL,1,5,1,NULL);
INSERT INTO "changes" VALUES(25,0,1795838194776239,'queue',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"queue":"failing"}');
INSERT INTO "changes" VALUES(26,0,1795838194793824,'run','failing','waiting-2',NULL,NULL,1,5,1,NULL);
INSERT INTO "changes" VALUES(27,0,1795838194793855,'queue',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"queue":"failing"}');
INSERT INTO "changes" VALUES(28,0,1795838195782174,'queue',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"queue":"failing"}');
INSERT INTO "changes" VALUES(29,0,1795838220027564,'run','flow','01a2204c-96f6-76fe-a580-ea715253de03',NULL,NULL,1,1,3,NULL);
INSERT INTO "changes" VALUES(30,0,1795838220051744,'run','flow','01a2204c-96f6-76fe-a580-ea715253de03',NULL,NULL,1,1,5,NULL);
INSERT INTO "changes" VALUES(31,0,1795838220059813,'run','flow','01a2204c-96f6-76fe-a580-ea715253de03',NULL,NULL,1,1,8,NULL);
INSERT INTO "changes" VALUES(32,0,1795838220072894,'run','flow','01a2204c-96f6-76fe-a580-ea715253de03',NULL,NULL,1,1,8,NULL);
INSERT INTO "changes" VALUES(33,0,1795838220083110,'run','report','DtRR4VUuM3nMonJZeg6mvqLAKYWHLPzEzDiWRuAkJLtd','flow','01a2204c-96f6-76fe-a580-ea715253de03',1,1,3,NULL);
INSERT INTO "changes" VALUES(34,0,1795838220102314,'run','report','DtRR4VUuM3nMonJZeg6mvqLAKYWHLPzEzDiWRuAkJLtd','flow','01a2204c-96f6-76fe-a580-ea715253de03',1,4,5,NULL);
INSERT INTO "changes" VALUES(35,0,1795838220108485,'run','flow','01a2204c-96f6-76fe-a580-ea715253de03',NULL,NULL,1,1,11,NULL);
INSERT INTO "changes" VALUES(36,0,1795838220120138,'run','flow','01a2204c-96f6-76fe-a580-ea715253de03',NULL,NULL,1,6,13,NULL);
CREATE TABLE dag_retention (
	dag_id INTEGER NOT NULL, 
	days INTEGER, 
	runs INTEGER, 
	log_bytes BIGINT, 
	set_at BIGINT NOT NULL, 
	set_by TEXT, 
	CONSTRAINT pk_dag_retention PRIMARY KEY (dag_id), 
	CONSTRAINT ck_dag_retention_limits_from_minus_one CHECK (days >= -1 AND runs >= -1 AND log_bytes >= -1), 
	CONSTRAINT fk_dag_retention_dag_id FOREIGN KEY(dag_id) REFERENCES dags (id) ON DELETE CASCADE
);
CREATE TABLE dag_revisions (
	dag_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	definition_hash TEXT NOT NULL, 
	author TEXT, 
	note TEXT, 
	saved_at BIGINT NOT NULL, 
	CONSTRAINT pk_dag_revisions PRIMARY KEY (dag_id, number), 
	CONSTRAINT fk_dag_revisions_dag_id FOREIGN KEY(dag_id) REFERENCES dags (id) ON DELETE CASCADE, 
	CONSTRAINT fk_dag_revisions_definition_hash FOREIGN KEY(definition_hash) REFERENCES definitions (hash)
);
INSERT INTO "dag_revisions" VALUES(1,1,'74cafedd5f510e9a3c3be89614594838c63d124b21f65edd75689f50496cee4e','admin',NULL,1795838194349606);
INSERT INTO "dag_revisions" VALUES(2,1,'6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38','admin',NULL,1795838194357739);
INSERT INTO "dag_revisions" VALUES(1,2,'2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5','admin',NULL,1795838194364205);
CREATE TABLE dag_settings (
	dag_id INTEGER NOT NULL, 
	catchup TEXT NOT NULL, 
	catchup_window_seconds INTEGER NOT NULL, 
	updated_at BIGINT NOT NULL, 
	updated_by TEXT, 
	CONSTRAINT pk_dag_settings PRIMARY KEY (dag_id), 
	CONSTRAINT ck_dag_settings_catchup_known CHECK (catchup IN ('none', 'latest', 'all')), 
	CONSTRAINT ck_dag_settings_window_above_zero CHECK (catchup_window_seconds > 0), 
	CONSTRAINT fk_dag_settings_dag_id FOREIGN KEY(dag_id) REFERENCES dags (id) ON DELETE CASCADE
);
CREATE TABLE dags (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	file_name TEXT NOT NULL, 
	dag_name TEXT NOT NULL, 
	definition_hash TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	suspended BOOLEAN NOT NULL, 
	source_directory TEXT, 
	tags TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT fk_dags_definition_hash FOREIGN KEY(definition_hash) REFERENCES definitions (hash), 
	CONSTRAINT uq_dags_file_name UNIQUE (file_name)
);
INSERT INTO "dags" VALUES(1,'flow','flow','2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5',2,0,NULL,'["nightly"]',1795838194349606,1795838194364205);
INSERT INTO "dags" VALUES(2,'failing','failing','6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38',1,0,NULL,'[]',1795838194357739,1795838194357739);
CREATE TABLE definitions (
	hash TEXT NOT NULL, 
	spec TEXT, 
	base TEXT, 
	redacted_at BIGINT, 
	redacted_by TEXT, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_definitions PRIMARY KEY (hash), 
	CONSTRAINT ck_definitions_redacted_by_somebody CHECK ((redacted_at IS NULL) = (redacted_by IS NULL)), 
	CONSTRAINT ck_definitions_text_or_redacted CHECK (spec IS NOT NULL OR redacted_at IS NOT NULL)
);
INSERT INTO "definitions" VALUES('74cafedd5f510e9a3c3be89614594838c63d124b21f65edd75689f50496cee4e','
tags: [nightly]
params: [DAY=monday]
schedule: "* * * * *"
steps:
  - {name: read, command: "echo read $DAY", output: COUNT}
  - {name: flaky, command: "test $DAG_RUN_STEP_NAME = other", depends: read, continueOn: {failure: true}}
  - {name: report, call: report, params: "OF=$COUNT", depends: flaky}
handlerOn: {exit: {command: echo over}}
---
name: report
steps: [{name: print, command: "echo of $OF"}]
',NULL,NULL,NULL,1795838194349606);
INSERT INTO "definitions" VALUES('6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38','
steps:
  - {name: fails, command: "echo no >&2; exit 3", retryPolicy: {limit: 1, intervalSec: 0}}
',NULL,NULL,NULL,1795838194357739);
INSERT INTO "definitions" VALUES('2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5','
tags: [nightly]
params: [DAY=sunday]
schedule: "* * * * *"
steps:
  - {name: read, command: "echo read $DAY", output: COUNT}
  - {name: flaky, command: "test $DAG_RUN_STEP_NAME = other", depends: read, continueOn: {failure: true}}
  - {name: report, call: report, params: "OF=$COUNT", depends: flaky}
handlerOn: {exit: {command: echo over}}
---
name: report
steps: [{name: print, command: "echo of $OF"}]
',NULL,NULL,NULL,1795838194364205);
CREATE TABLE log_chunks (
	run_id INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	stream SMALLINT NOT NULL, 
	seq INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	execution INTEGER NOT NULL, 
	received_at BIGINT NOT NULL, 
	first_line INTEGER NOT NULL, 
	line_count INTEGER NOT NULL, 
	byte_offset BIGINT NOT NULL, 
	byte_count INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	packed BLOB, 
	CONSTRAINT pk_log_chunks PRIMARY KEY (run_id, attempt, position, stream, seq), 
	CONSTRAINT ck_log_chunks_sizes_not_negative CHECK (line_count >= 0 AND byte_count >= 0), 
	CONSTRAINT ck_log_chunks_stream_known CHECK (stream IN (1, 2)), 
	CONSTRAINT fk_log_chunks_run_id_attempt_position FOREIGN KEY(run_id, attempt, position) REFERENCES nodes (run_id, attempt, position) ON DELETE CASCADE
);
INSERT INTO "log_chunks" VALUES(7532291322013757705,1,0,1,0,0,1,1795838194437585,1,1,0,12,'read friday
',NULL);
INSERT INTO "log_chunks" VALUES(7532291322505266425,1,0,1,0,0,1,1795838194521262,1,1,0,15,'of read friday
',NULL);
INSERT INTO "log_chunks" VALUES(7532291322013757705,1,2,1,0,0,1,1795838194530163,1,7,0,157,'{
  "name": "report",
  "dagRunId": "5e2yxbWDpeHxayVi2h9JzBT2CwnToBgB5tNT3kqBBRvv",
  "params": "OF=read friday",
  "outputs": {},
  "status": "succeeded"
}
',NULL);
INSERT INTO "log_chunks" VALUES(7532291322013757705,1,-5,1,0,0,1,1795838194541642,1,1,0,5,'over
',NULL);
INSERT INTO "log_chunks" VALUES(7532291322831342366,1,0,2,0,0,1,1795838194596367,1,1,0,3,'no
',NULL);
INSERT INTO "log_chunks" VALUES(7532291322831342366,1,0,2,1,1,2,1795838194618935,2,1,3,3,'no
',NULL);
INSERT INTO "log_chunks" VALUES(7532291322831342366,2,0,2,0,0,1,1795838194692447,1,1,0,3,'no
',NULL);
INSERT INTO "log_chunks" VALUES(7532291322831342366,2,0,2,1,1,2,1795838194716298,2,1,3,3,'no
',NULL);
INSERT INTO "log_chunks" VALUES(7532291429593426555,1,0,1,0,0,1,1795838220043091,1,1,0,12,'read sunday
',NULL);
INSERT INTO "log_chunks" VALUES(7532291429812599326,1,0,1,0,0,1,1795838220101187,1,1,0,15,'of read sunday
',NULL);
INSERT INTO "log_chunks" VALUES(7532291429593426555,1,2,1,0,0,1,1795838220105606,1,7,0,157,'{
  "name": "report",
  "dagRunId": "DtRR4VUuM3nMonJZeg6mvqLAKYWHLPzEzDiWRuAkJLtd",
  "params": "OF=read sunday",
  "outputs": {},
  "status": "succeeded"
}
',NULL);
INSERT INTO "log_chunks" VALUES(7532291429593426555,1,-5,1,0,0,1,1795838220115768,1,1,0,5,'over
',NULL);
CREATE TABLE nodes (
	run_id INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	handler BOOLEAN NOT NULL, 
	status INTEGER NOT NULL, 
	execution INTEGER DEFAULT 0 NOT NULL, 
	started_at BIGINT, 
	finished_at BIGINT, 
	executed_at BIGINT, 
	due_at BIGINT, 
	retried_at BIGINT, 
	retry_count INTEGER DEFAULT 0 NOT NULL, 
	done_count INTEGER DEFAULT 0 NOT NULL, 
	repeated BOOLEAN DEFAULT 0 NOT NULL, 
	exit_code INTEGER, 
	error TEXT DEFAULT '' NOT NULL, 
	output_name TEXT, 
	output_value TEXT, 
	pid INTEGER, 
	pid_started BIGINT, 
	spool TEXT, 
	detail TEXT, 
	shown TEXT, 
	edited_at BIGINT, 
	edited_by TEXT, 
	sub_runs TEXT, 
	output_sealed BLOB, 
	log_attempt INTEGER, 
	CONSTRAINT pk_nodes PRIMARY KEY (run_id, attempt, position), 
	CONSTRAINT ck_nodes_edited_by_somebody CHECK ((edited_at IS NULL) = (edited_by IS NULL)), 
	CONSTRAINT ck_nodes_finished_after_started CHECK (finished_at >= started_at), 
	CONSTRAINT ck_nodes_finished_only_when_settled CHECK (finished_at IS NULL OR status NOT IN (0, 1) OR (status = 0 AND edited_at IS NOT NULL)), 
	CONSTRAINT ck_nodes_handlers_below_zero CHECK (position >= -5 AND handler = (position < 0)), 
	CONSTRAINT ck_nodes_status_known CHECK (status BETWEEN 0 AND 6), 
	CONSTRAINT fk_nodes_run_id_attempt FOREIGN KEY(run_id, attempt) REFERENCES run_attempts (run_id, number) ON DELETE CASCADE, 
	CONSTRAINT uq_nodes_run_id_attempt_handler_name UNIQUE (run_id, attempt, handler, name)
);
INSERT INTO "nodes" VALUES(7532291322013757705,1,0,'read',0,4,1,1795838194373991,1795838194437352,1795838194408795,NULL,NULL,0,1,0,0,'','COUNT','read friday',NULL,NULL,'/srv/dagbook-release/spool/7532291322013757705_1_0-read.1',NULL,'{"command":"echo","args":["read","friday"]}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291322013757705,1,1,'flaky',0,2,1,1795838194437352,1795838194458956,1795838194452223,NULL,NULL,0,1,0,1,'exit status 1',NULL,NULL,NULL,NULL,'/srv/dagbook-release/spool/7532291322013757705_1_1-flaky.1','{"tolerated":true}','{"command":"test","args":["flaky","=","other"]}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291322013757705,1,2,'report',0,4,1,1795838194458956,1795838194529965,1795838194477265,NULL,NULL,0,1,0,0,'',NULL,NULL,NULL,NULL,'/srv/dagbook-release/spool/7532291322013757705_1_2-report.1',NULL,'{"command":"call","args":["report","OF=\"read friday\""]}',NULL,NULL,'{"execution":1,"called":"report","retries":0,"salt":"","current":[{"id":"5e2yxbWDpeHxayVi2h9JzBT2CwnToBgB5tNT3kqBBRvv","name":"report","params":"OF=\"read friday\""}],"earlier":[]}',NULL,NULL);
INSERT INTO "nodes" VALUES(7532291322013757705,1,-5,'onExit',1,4,1,1795838194529965,1795838194541537,1795838194535516,NULL,NULL,0,0,0,0,'',NULL,NULL,NULL,NULL,'/srv/dagbook-release/spool/7532291322013757705_1_-5-onExit.1',NULL,'{"command":"echo","args":["over"]}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291322505266425,1,0,'print',0,4,1,1795838194491055,1795838194521116,1795838194512105,NULL,NULL,0,1,0,0,'',NULL,NULL,NULL,NULL,'/srv/dagbook-release/spool/7532291322505266425_1_0-print.1',NULL,'{"command":"echo","args":["of","read friday"]}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291322831342366,1,0,'fails',0,2,2,1795838194568523,1795838194618759,1795838194613304,NULL,1795838194601909,1,1,0,3,'exit status 3
last of stderr:
no
no',NULL,NULL,NULL,NULL,'/srv/dagbook-release/spool/7532291322831342366_1_0-fails.2',NULL,'{"command":"echo","args":["no",">&2;","exit","3"]}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291322831342366,2,0,'fails',0,2,2,1795838194658996,1795838194716150,1795838194712232,NULL,1795838194700594,1,1,0,3,'exit status 3
last of stderr:
no
no',NULL,NULL,NULL,NULL,'/srv/dagbook-release/spool/7532291322831342366_2_0-fails.2',NULL,'{"command":"echo","args":["no",">&2;","exit","3"]}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291323615638459,1,0,'fails',0,0,0,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,'',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291323688748132,1,0,'fails',0,0,0,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,'',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291323766226835,1,0,'fails',0,0,0,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,'',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291429593426555,1,0,'read',0,4,1,1795838220022609,1795838220042907,1795838220034133,NULL,NULL,0,1,0,0,'','COUNT','read sunday',NULL,NULL,'/srv/dagbook-release/spool/7532291429593426555_1_0-read.1',NULL,'{"command":"echo","args":["read","sunday"]}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291429593426555,1,1,'flaky',0,2,1,1795838220042907,1795838220057952,1795838220054144,NULL,NULL,0,1,0,1,'exit status 1',NULL,NULL,NULL,NULL,'/srv/dagbook-release/spool/7532291429593426555_1_1-flaky.1','{"tolerated":true}','{"command":"test","args":["flaky","=","other"]}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291429593426555,1,2,'report',0,4,1,1795838220057952,1795838220105420,1795838220072351,NULL,NULL,0,1,0,0,'',NULL,NULL,NULL,NULL,'/srv/dagbook-release/spool/7532291429593426555_1_2-report.1',NULL,'{"command":"call","args":["report","OF=\"read sunday\""]}',NULL,NULL,'{"execution":1,"called":"report","retries":0,"salt":"","current":[{"id":"DtRR4VUuM3nMonJZeg6mvqLAKYWHLPzEzDiWRuAkJLtd","name":"report","params":"OF=\"read sunday\""}],"earlier":[]}',NULL,NULL);
INSERT INTO "nodes" VALUES(7532291429593426555,1,-5,'onExit',1,4,1,1795838220105420,1795838220115558,1795838220112681,NULL,NULL,0,0,0,0,'',NULL,NULL,NULL,NULL,'/srv/dagbook-release/spool/7532291429593426555_1_-5-onExit.1',NULL,'{"command":"echo","args":["over"]}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "nodes" VALUES(7532291429812599326,1,0,'print',0,4,1,1795838220077417,1795838220101039,1795838220089966,NULL,NULL,0,1,0,0,'',NULL,NULL,NULL,NULL,'/srv/dagbook-release/spool/7532291429812599326_1_0-print.1',NULL,'{"command":"echo","args":["of","read sunday"]}',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE queue_entries (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	run_id INTEGER NOT NULL, 
	queue TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	queued_at BIGINT NOT NULL, 
	reason TEXT, 
	place BIGINT DEFAULT 0 NOT NULL, 
	selector TEXT, 
	CONSTRAINT ck_queue_entries_priority_known CHECK (priority BETWEEN -1000 AND 1000), 
	CONSTRAINT fk_queue_entries_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE, 
	CONSTRAINT uq_queue_entries_run_id UNIQUE (run_id)
);
INSERT INTO "queue_entries" VALUES(1,7532291323615638459,'failing',0,1795838194755240,'queue ''failing'' is paused since 2026-11-28T03:56:34Z by admin',0,NULL);
INSERT INTO "queue_entries" VALUES(2,7532291323688748132,'failing',0,1795838194772794,NULL,0,NULL);
INSERT INTO "queue_entries" VALUES(3,7532291323766226835,'failing',0,1795838194791975,NULL,0,NULL);
CREATE TABLE queue_pauses (
	queue TEXT NOT NULL, 
	paused_at BIGINT NOT NULL, 
	paused_by TEXT, 
	CONSTRAINT pk_queue_pauses PRIMARY KEY (queue)
);
INSERT INTO "queue_pauses" VALUES('failing',1795838194742328,'admin');
CREATE TABLE removals (
	run_id INTEGER NOT NULL, 
	begun_at BIGINT NOT NULL, 
	CONSTRAINT pk_removals PRIMARY KEY (run_id), 
	CONSTRAINT fk_removals_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
CREATE TABLE run_attempts (
	run_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	status INTEGER NOT NULL, 
	owner TEXT, 
	token INTEGER NOT NULL, 
	host TEXT, 
	state TEXT, 
	opened_at BIGINT NOT NULL, 
	closed_at BIGINT, 
	CONSTRAINT pk_run_attempts PRIMARY KEY (run_id, number), 
	CONSTRAINT ck_run_attempts_closed_only_when_over CHECK (closed_at IS NULL OR status IN (2, 3, 4, 6)), 
	CONSTRAINT ck_run_attempts_counts_from_one CHECK (number >= 1), 
	CONSTRAINT ck_run_attempts_status_known CHECK (status BETWEEN 0 AND 6), 
	CONSTRAINT fk_run_attempts_owner FOREIGN KEY(owner) REFERENCES services (id), 
	CONSTRAINT fk_run_attempts_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "run_attempts" VALUES(7532291322013757705,1,6,'dagbook-17812-3509131-e582abdd',1,'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836','{"phase":"closed","error_key":1,"outcome":6}',1795838194373875,1795838194541537);
INSERT INTO "run_attempts" VALUES(7532291322505266425,1,4,'dagbook-17812-3509131-e582abdd',1,'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836','{"phase":"closed","outcome":4}',1795838194490935,1795838194521116);
INSERT INTO "run_attempts" VALUES(7532291322831342366,1,2,'dagbook-17812-3509131-e582abdd',1,'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836','{"phase":"closed","error_key":0,"outcome":2}',1795838194568420,1795838194618759);
INSERT INTO "run_attempts" VALUES(7532291322831342366,2,2,'dagbook-17812-3509131-e582abdd',1,'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836','{"phase":"closed","error_key":0,"outcome":2}',1795838194658691,1795838194716150);
INSERT INTO "run_attempts" VALUES(7532291323615638459,1,5,NULL,0,NULL,NULL,1795838194755240,NULL);
INSERT INTO "run_attempts" VALUES(7532291323688748132,1,5,NULL,0,NULL,NULL,1795838194772794,NULL);
INSERT INTO "run_attempts" VALUES(7532291323766226835,1,5,NULL,0,NULL,NULL,1795838194791975,NULL);
INSERT INTO "run_attempts" VALUES(7532291429593426555,1,6,'dagbook-17812-3509131-e582abdd',1,'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836','{"phase":"closed","error_key":1,"outcome":6}',1795838220022505,1795838220115558);
INSERT INTO "run_attempts" VALUES(7532291429812599326,1,4,'dagbook-17812-3509131-e582abdd',1,'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836','{"phase":"closed","outcome":4}',1795838220077300,1795838220101039);
CREATE TABLE run_errors (
	run_id INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_run_errors PRIMARY KEY (run_id), 
	CONSTRAINT fk_run_errors_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "run_errors" VALUES(7532291322013757705,'exit status 1',1795838194373875);
INSERT INTO "run_errors" VALUES(7532291322831342366,'exit status 3
last of stderr:
no
no',1795838194568420);
INSERT INTO "run_errors" VALUES(7532291429593426555,'exit status 1',1795838220022505);
CREATE TABLE run_events (
	run_id INTEGER NOT NULL, 
	seq INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	position INTEGER, 
	data TEXT NOT NULL, 
	CONSTRAINT pk_run_events PRIMARY KEY (run_id, seq), 
	CONSTRAINT fk_run_events_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "run_events" VALUES(7532291322013757705,1,1,1795838194373875,NULL,'{"accepted":"api","actor":"admin"}');
INSERT INTO "run_events" VALUES(7532291322013757705,2,1,1795838194374103,NULL,'{"status":1,"phase":"steps","started_at":"2026-11-28T03:56:34.373991Z"}');
INSERT INTO "run_events" VALUES(7532291322013757705,3,1,1795838194374103,0,'{"status":1,"execution":1,"started_at":"2026-11-28T03:56:34.373991Z"}');
INSERT INTO "run_events" VALUES(7532291322013757705,4,1,1795838194437539,0,'{"status":4,"finished_at":"2026-11-28T03:56:34.437352Z","executed_at":"2026-11-28T03:56:34.408795Z","done_count":1,"exit_code":0}');
INSERT INTO "run_events" VALUES(7532291322013757705,5,1,1795838194437539,1,'{"status":1,"execution":1,"started_at":"2026-11-28T03:56:34.437352Z"}');
INSERT INTO "run_events" VALUES(7532291322013757705,6,1,1795838194459120,NULL,'{"error":"exit status 1","error_key":1}');
INSERT INTO "run_events" VALUES(7532291322013757705,7,1,1795838194459120,1,'{"status":2,"finished_at":"2026-11-28T03:56:34.458956Z","executed_at":"2026-11-28T03:56:34.452223Z","done_count":1,"exit_code":1,"error":"exit status 1","tolerated":true}');
INSERT INTO "run_events" VALUES(7532291322013757705,8,1,1795838194459120,2,'{"status":1,"execution":1,"started_at":"2026-11-28T03:56:34.458956Z"}');
INSERT INTO "run_events" VALUES(7532291322505266425,1,1,1795838194490935,NULL,'{"accepted":"subdag"}');
INSERT INTO "run_events" VALUES(7532291322505266425,2,1,1795838194491181,NULL,'{"status":1,"phase":"steps","started_at":"2026-11-28T03:56:34.491055Z"}');
INSERT INTO "run_events" VALUES(7532291322505266425,3,1,1795838194491181,0,'{"status":1,"execution":1,"started_at":"2026-11-28T03:56:34.491055Z"}');
INSERT INTO "run_events" VALUES(7532291322505266425,4,1,1795838194521222,0,'{"status":4,"finished_at":"2026-11-28T03:56:34.521116Z","executed_at":"2026-11-28T03:56:34.512105Z","done_count":1,"exit_code":0}');
INSERT INTO "run_events" VALUES(7532291322505266425,5,1,1795838194521222,NULL,'{"status":4,"phase":"closed","outcome":4,"finished_at":"2026-11-28T03:56:34.521116Z"}');
INSERT INTO "run_events" VALUES(7532291322013757705,9,1,1795838194530127,NULL,'{"phase":"exit","outcome":6}');
INSERT INTO "run_events" VALUES(7532291322013757705,10,1,1795838194530127,2,'{"status":4,"finished_at":"2026-11-28T03:56:34.529965Z","executed_at":"2026-11-28T03:56:34.477265Z","done_count":1,"exit_code":0}');
INSERT INTO "run_events" VALUES(7532291322013757705,11,1,1795838194530127,-5,'{"status":1,"execution":1,"started_at":"2026-11-28T03:56:34.529965Z"}');
INSERT INTO "run_events" VALUES(7532291322013757705,12,1,1795838194541603,-5,'{"status":4,"finished_at":"2026-11-28T03:56:34.541537Z","executed_at":"2026-11-28T03:56:34.535516Z","exit_code":0}');
INSERT INTO "run_events" VALUES(7532291322013757705,13,1,1795838194541603,NULL,'{"status":6,"phase":"closed","finished_at":"2026-11-28T03:56:34.541537Z"}');
INSERT INTO "run_events" VALUES(7532291322831342366,1,1,1795838194568420,NULL,'{"accepted":"api","actor":"admin"}');
INSERT INTO "run_events" VALUES(7532291322831342366,2,1,1795838194568608,NULL,'{"status":1,"phase":"steps","started_at":"2026-11-28T03:56:34.568523Z"}');
INSERT INTO "run_events" VALUES(7532291322831342366,3,1,1795838194568608,0,'{"status":1,"execution":1,"started_at":"2026-11-28T03:56:34.568523Z"}');
INSERT INTO "run_events" VALUES(7532291322831342366,4,1,1795838194596327,0,'{"executed_at":"2026-11-28T03:56:34.578246Z","due_at":"2026-11-28T03:56:34.596246Z","retry_count":1,"exit_code":3,"error":"exit status 3\nlast of stderr:\nno"}');
INSERT INTO "run_events" VALUES(7532291322831342366,5,1,1795838194602009,0,'{"execution":2,"executed_at":null,"due_at":null,"retried_at":"2026-11-28T03:56:34.601909Z","exit_code":null,"error":""}');
INSERT INTO "run_events" VALUES(7532291322831342366,6,1,1795838194618889,0,'{"status":2,"finished_at":"2026-11-28T03:56:34.618759Z","executed_at":"2026-11-28T03:56:34.613304Z","done_count":1,"exit_code":3,"error":"exit status 3\nlast of stderr:\nno\nno"}');
INSERT INTO "run_events" VALUES(7532291322831342366,7,1,1795838194618889,NULL,'{"status":2,"phase":"closed","error":"exit status 3\nlast of stderr:\nno\nno","error_key":0,"outcome":2,"finished_at":"2026-11-28T03:56:34.618759Z"}');
INSERT INTO "run_events" VALUES(7532291322831342366,8,2,1795838194658691,NULL,'{"accepted":"retry","actor":"admin"}');
INSERT INTO "run_events" VALUES(7532291322831342366,9,2,1795838194659093,NULL,'{"status":1,"phase":"steps","started_at":"2026-11-28T03:56:34.658996Z"}');
INSERT INTO "run_events" VALUES(7532291322831342366,10,2,1795838194659093,0,'{"status":1,"execution":1,"started_at":"2026-11-28T03:56:34.658996Z"}');
INSERT INTO "run_events" VALUES(7532291322831342366,11,2,1795838194692396,0,'{"executed_at":"2026-11-28T03:56:34.679892Z","due_at":"2026-11-28T03:56:34.692295Z","retry_count":1,"exit_code":3,"error":"exit status 3\nlast of stderr:\nno"}');
INSERT INTO "run_events" VALUES(7532291322831342366,12,2,1795838194700671,0,'{"execution":2,"executed_at":null,"due_at":null,"retried_at":"2026-11-28T03:56:34.700594Z","exit_code":null,"error":""}');
INSERT INTO "run_events" VALUES(7532291322831342366,13,2,1795838194716262,0,'{"status":2,"finished_at":"2026-11-28T03:56:34.716150Z","executed_at":"2026-11-28T03:56:34.712232Z","done_count":1,"exit_code":3,"error":"exit status 3\nlast of stderr:\nno\nno"}');
INSERT INTO "run_events" VALUES(7532291322831342366,14,2,1795838194716262,NULL,'{"status":2,"phase":"closed","error":"exit status 3\nlast of stderr:\nno\nno","error_key":0,"outcome":2,"finished_at":"2026-11-28T03:56:34.716150Z"}');
INSERT INTO "run_events" VALUES(7532291323615638459,1,1,1795838194755240,NULL,'{"accepted":"api","actor":"admin","queue":"failing"}');
INSERT INTO "run_events" VALUES(7532291323688748132,1,1,1795838194772794,NULL,'{"accepted":"api","actor":"admin","queue":"failing"}');
INSERT INTO "run_events" VALUES(7532291323766226835,1,1,1795838194791975,NULL,'{"accepted":"api","actor":"admin","queue":"failing"}');
INSERT INTO "run_events" VALUES(7532291429593426555,1,1,1795838220022505,NULL,'{"accepted":"schedule"}');
INSERT INTO "run_events" VALUES(7532291429593426555,2,1,1795838220022706,NULL,'{"status":1,"phase":"steps","started_at":"2026-11-28T03:57:00.022609Z"}');
INSERT INTO "run_events" VALUES(7532291429593426555,3,1,1795838220022706,0,'{"status":1,"execution":1,"started_at":"2026-11-28T03:57:00.022609Z"}');
INSERT INTO "run_events" VALUES(7532291429593426555,4,1,1795838220043049,0,'{"status":4,"finished_at":"2026-11-28T03:57:00.042907Z","executed_at":"2026-11-28T03:57:00.034133Z","done_count":1,"exit_code":0}');
INSERT INTO "run_events" VALUES(7532291429593426555,5,1,1795838220043049,1,'{"status":1,"execution":1,"started_at":"2026-11-28T03:57:00.042907Z"}');
INSERT INTO "run_events" VALUES(7532291429593426555,6,1,1795838220058148,NULL,'{"error":"exit status 1","error_key":1}');
INSERT INTO "run_events" VALUES(7532291429593426555,7,1,1795838220058148,1,'{"status":2,"finished_at":"2026-11-28T03:57:00.057952Z","executed_at":"2026-11-28T03:57:00.054144Z","done_count":1,"exit_code":1,"error":"exit status 1","tolerated":true}');
INSERT INTO "run_events" VALUES(7532291429593426555,8,1,1795838220058148,2,'{"status":1,"execution":1,"started_at":"2026-11-28T03:57:00.057952Z"}');
INSERT INTO "run_events" VALUES(7532291429812599326,1,1,1795838220077300,NULL,'{"accepted":"subdag"}');
INSERT INTO "run_events" VALUES(7532291429812599326,2,1,1795838220077490,NULL,'{"status":1,"phase":"steps","started_at":"2026-11-28T03:57:00.077417Z"}');
INSERT INTO "run_events" VALUES(7532291429812599326,3,1,1795838220077490,0,'{"status":1,"execution":1,"started_at":"2026-11-28T03:57:00.077417Z"}');
INSERT INTO "run_events" VALUES(7532291429812599326,4,1,1795838220101145,0,'{"status":4,"finished_at":"2026-11-28T03:57:00.101039Z","executed_at":"2026-11-28T03:57:00.089966Z","done_count":1,"exit_code":0}');
INSERT INTO "run_events" VALUES(7532291429812599326,5,1,1795838220101145,NULL,'{"status":4,"phase":"closed","outcome":4,"finished_at":"2026-11-28T03:57:00.101039Z"}');
INSERT INTO "run_events" VALUES(7532291429593426555,9,1,1795838220105567,NULL,'{"phase":"exit","outcome":6}');
INSERT INTO "run_events" VALUES(7532291429593426555,10,1,1795838220105567,2,'{"status":4,"finished_at":"2026-11-28T03:57:00.105420Z","executed_at":"2026-11-28T03:57:00.072351Z","done_count":1,"exit_code":0}');
INSERT INTO "run_events" VALUES(7532291429593426555,11,1,1795838220105567,-5,'{"status":1,"execution":1,"started_at":"2026-11-28T03:57:00.105420Z"}');
INSERT INTO "run_events" VALUES(7532291429593426555,12,1,1795838220115724,-5,'{"status":4,"finished_at":"2026-11-28T03:57:00.115558Z","executed_at":"2026-11-28T03:57:00.112681Z","exit_code":0}');
INSERT INTO "run_events" VALUES(7532291429593426555,13,1,1795838220115724,NULL,'{"status":6,"phase":"closed","finished_at":"2026-11-28T03:57:00.115558Z"}');
CREATE TABLE run_inputs (
	run_id INTEGER NOT NULL, 
	params TEXT NOT NULL, 
	env TEXT NOT NULL, 
	dotenv TEXT NOT NULL, 
	work_dir TEXT NOT NULL, 
	base_environment TEXT, 
	keep_dir BOOLEAN NOT NULL, 
	sealed BLOB, 
	source_directory TEXT, 
	CONSTRAINT pk_run_inputs PRIMARY KEY (run_id), 
	CONSTRAINT fk_run_inputs_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "run_inputs" VALUES(7532291322013757705,'[["DAY","friday"]]','[]','[]','/srv/dagbook-release/work',NULL,1,NULL,NULL);
INSERT INTO "run_inputs" VALUES(7532291322505266425,'[["OF","read friday"]]','[]','[]','/srv/dagbook-release/work','{"HOME":"/srv/dagbook-release","PATH":"/usr/bin:/bin","LANG":"C.UTF-8","SHELL":"/bin/sh","DAY":"friday","DAG_NAME":"flow","DAG_RUN_ID":"first","DAG_RUN_LOG_FILE":"/srv/dagbook-release/spool/7532291322013757705_1_run.log"}',1,NULL,NULL);
INSERT INTO "run_inputs" VALUES(7532291322831342366,'[]','[]','[]','/srv/dagbook-release/work',NULL,1,NULL,NULL);
INSERT INTO "run_inputs" VALUES(7532291323615638459,'[]','[]','[]','/srv/dagbook-release/work',NULL,1,NULL,NULL);
INSERT INTO "run_inputs" VALUES(7532291323688748132,'[]','[]','[]','/srv/dagbook-release/work',NULL,1,NULL,NULL);
INSERT INTO "run_inputs" VALUES(7532291323766226835,'[]','[]','[]','/srv/dagbook-release/work',NULL,1,NULL,NULL);
INSERT INTO "run_inputs" VALUES(7532291429593426555,'[["DAY","sunday"]]','[]','[]','/srv/dagbook-release/work',NULL,1,NULL,NULL);
INSERT INTO "run_inputs" VALUES(7532291429812599326,'[["OF","read sunday"]]','[]','[]','/srv/dagbook-release/work','{"HOME":"/srv/dagbook-release","PATH":"/usr/bin:/bin","LANG":"C.UTF-8","SHELL":"/bin/sh","DAY":"sunday","DAG_NAME":"flow","DAG_RUN_ID":"01a2204c-96f6-76fe-a580-ea715253de03","DAG_RUN_LOG_FILE":"/srv/dagbook-release/spool/7532291429593426555_1_run.log"}',1,NULL,NULL);
CREATE TABLE run_params (
	run_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_run_params PRIMARY KEY (run_id, position), 
	CONSTRAINT fk_run_params_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "run_params" VALUES(7532291322013757705,0,'DAY','friday',1795838194373875);
INSERT INTO "run_params" VALUES(7532291429593426555,0,'DAY','sunday',1795838220022505);
INSERT INTO "run_params" VALUES(7532291322505266425,0,'OF','read friday',1795838194490935);
INSERT INTO "run_params" VALUES(7532291429812599326,0,'OF','read sunday',1795838220077300);
CREATE TABLE run_requests (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	actor TEXT, 
	asked_at BIGINT NOT NULL, 
	handled_at BIGINT, 
	CONSTRAINT pk_run_requests PRIMARY KEY (id), 
	CONSTRAINT ck_run_requests_kind_known CHECK (kind IN ('stop', 'kill')), 
	CONSTRAINT fk_run_requests_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
CREATE TABLE run_tags (
	run_id INTEGER NOT NULL, 
	tag TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_run_tags PRIMARY KEY (run_id, tag), 
	CONSTRAINT fk_run_tags_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "run_tags" VALUES(7532291322013757705,'nightly',1795838194373875);
INSERT INTO "run_tags" VALUES(7532291429593426555,'nightly',1795838220022505);
CREATE TABLE runs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	dag_name TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	definition_hash TEXT NOT NULL, 
	file_name TEXT, 
	queue TEXT NOT NULL, 
	root_id INTEGER, 
	parent_id INTEGER, 
	"trigger" TEXT NOT NULL, 
	actor TEXT, 
	params TEXT NOT NULL, 
	params_text TEXT NOT NULL, 
	tags TEXT NOT NULL, 
	status INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	created_at BIGINT NOT NULL, 
	queued_at BIGINT, 
	started_at BIGINT, 
	finished_at BIGINT, 
	stop_requested_at BIGINT, 
	stop_requested_by TEXT, 
	error TEXT, 
	max_active_runs INTEGER NOT NULL, 
	dag_revision INTEGER, 
	CONSTRAINT ck_runs_child_has_root_and_parent CHECK ((root_id IS NULL) = (parent_id IS NULL)), 
	CONSTRAINT ck_runs_attempt_counts_from_one CHECK (attempt >= 1), 
	CONSTRAINT ck_runs_finished_after_started CHECK (finished_at >= started_at), 
	CONSTRAINT ck_runs_finished_only_when_over CHECK (finished_at IS NULL OR status IN (2, 3, 4, 6)), 
	CONSTRAINT ck_runs_status_known CHECK (status BETWEEN 0 AND 6), 
	CONSTRAINT fk_runs_definition_hash FOREIGN KEY(definition_hash) REFERENCES definitions (hash), 
	CONSTRAINT fk_runs_parent_id FOREIGN KEY(parent_id) REFERENCES runs (id) ON DELETE CASCADE, 
	CONSTRAINT fk_runs_root_id FOREIGN KEY(root_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "runs" VALUES(7532291322013757705,'flow','first','2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5','flow','flow',NULL,NULL,'api','admin','[["DAY","friday"]]','DAY=friday','["nightly"]',6,1,1795838194373875,NULL,1795838194373991,1795838194541537,NULL,NULL,'exit status 1',1,2);
INSERT INTO "runs" VALUES(7532291322505266425,'report','5e2yxbWDpeHxayVi2h9JzBT2CwnToBgB5tNT3kqBBRvv','2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5',NULL,'report',7532291322013757705,7532291322013757705,'subdag',NULL,'[["OF","read friday"]]','OF=read friday','[]',4,1,1795838194490935,NULL,1795838194491055,1795838194521116,NULL,NULL,NULL,1,NULL);
INSERT INTO "runs" VALUES(7532291322831342366,'failing','second','6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38','failing','failing',NULL,NULL,'api','admin','[]','','[]',2,2,1795838194568420,NULL,1795838194658996,1795838194716150,NULL,NULL,'exit status 3
last of stderr:
no
no',1,1);
INSERT INTO "runs" VALUES(7532291323615638459,'failing','waiting-0','6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38','failing','failing',NULL,NULL,'api','admin','[]','','[]',5,1,1795838194755240,1795838194755240,NULL,NULL,NULL,NULL,NULL,1,1);
INSERT INTO "runs" VALUES(7532291323688748132,'failing','waiting-1','6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38','failing','failing',NULL,NULL,'api','admin','[]','','[]',5,1,1795838194772794,1795838194772794,NULL,NULL,NULL,NULL,NULL,1,1);
INSERT INTO "runs" VALUES(7532291323766226835,'failing','waiting-2','6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38','failing','failing',NULL,NULL,'api','admin','[]','','[]',5,1,1795838194791975,1795838194791975,NULL,NULL,NULL,NULL,NULL,1,1);
INSERT INTO "runs" VALUES(7532291429593426555,'flow','01a2204c-96f6-76fe-a580-ea715253de03','2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5','flow','flow',NULL,NULL,'schedule',NULL,'[["DAY","sunday"]]','DAY=sunday','["nightly"]',6,1,1795838220022505,NULL,1795838220022609,1795838220115558,NULL,NULL,'exit status 1',1,2);
INSERT INTO "runs" VALUES(7532291429812599326,'report','DtRR4VUuM3nMonJZeg6mvqLAKYWHLPzEzDiWRuAkJLtd','2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5',NULL,'report',7532291429593426555,7532291429593426555,'subdag',NULL,'[["OF","read sunday"]]','OF=read sunday','[]',4,1,1795838220077300,NULL,1795838220077417,1795838220101039,NULL,NULL,NULL,1,NULL);
CREATE TABLE schedule_marks (
	id INTEGER NOT NULL, 
	minute BIGINT NOT NULL, 
	CONSTRAINT pk_schedule_marks PRIMARY KEY (id), 
	CONSTRAINT ck_schedule_marks_only_one CHECK (id = 1)
);
INSERT INTO "schedule_marks" VALUES(1,1795838220000000);
CREATE TABLE schedule_slots (
	dag_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	minute BIGINT NOT NULL, 
	file_name TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	reason TEXT, 
	run_id INTEGER, 
	restarts INTEGER, 
	made_up BOOLEAN NOT NULL, 
	settled_at BIGINT NOT NULL, 
	CONSTRAINT pk_schedule_slots PRIMARY KEY (dag_id, kind, minute), 
	CONSTRAINT ck_schedule_slots_kind_known CHECK (kind IN ('start', 'stop', 'restart')), 
	CONSTRAINT ck_schedule_slots_outcome_known CHECK (outcome IN ('started', 'queued', 'stopped', 'restarting', 'restarted', 'skipped', 'suspended', 'missed', 'failed')), 
	CONSTRAINT ck_schedule_slots_run_only_when_begun CHECK (run_id IS NULL OR outcome IN ('started', 'queued', 'restarted')), 
	CONSTRAINT fk_schedule_slots_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE SET NULL, 
	CONSTRAINT uq_schedule_slots_run_id UNIQUE (run_id)
);
INSERT INTO "schedule_slots" VALUES(1,'start',1795838220000000,'flow','started',NULL,7532291429593426555,NULL,0,1795838220022505);
CREATE TABLE services (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	host TEXT NOT NULL, 
	boot_id TEXT NOT NULL, 
	pid_namespace TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	pid_started BIGINT NOT NULL, 
	address TEXT NOT NULL, 
	version TEXT NOT NULL, 
	started_at BIGINT NOT NULL, 
	heartbeat_at BIGINT NOT NULL, 
	lease_until BIGINT NOT NULL, 
	stopped_at BIGINT, 
	name TEXT, 
	labels TEXT, 
	capacity INTEGER, 
	spool_id TEXT, 
	spool_dir TEXT, 
	CONSTRAINT pk_services PRIMARY KEY (id)
);
INSERT INTO "services" VALUES('dagbook-17812-3509131-e582abdd','server','dagbook','e582abdd-6cf7-441a-8975-b47c1fc12aff','4026531836',17812,3509131,'http://127.0.0.1:36631','0.1.0',1795838191231854,1795838220292129,1795839120292129,1795838220292129,NULL,NULL,NULL,'6c633795fc8d4b9b16ffee2db8677835','/srv/dagbook-release/spool');
INSERT INTO "services" VALUES('dagbook-17812-3509131-e582abdd-scheduler','scheduler','dagbook','e582abdd-6cf7-441a-8975-b47c1fc12aff','4026531836',17812,3509131,'http://127.0.0.1:36631','0.1.0',1795838191253856,1795838220287095,1795838220287095,1795838220287095,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE tokens (
	id TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	role TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT, 
	revoked_at BIGINT, 
	last_used_at BIGINT, 
	CONSTRAINT pk_tokens PRIMARY KEY (id), 
	CONSTRAINT ck_tokens_name_length CHECK (length(name) BETWEEN 1 AND 64), 
	CONSTRAINT ck_tokens_role_known CHECK (role IN ('viewer', 'operator', 'manager', 'admin')), 
	CONSTRAINT ck_tokens_hash_length CHECK (length(hash) = 64), 
	CONSTRAINT ck_tokens_expires_later CHECK (expires_at > created_at), 
	CONSTRAINT fk_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT uq_tokens_hash UNIQUE (hash)
);
INSERT INTO "tokens" VALUES('ad884440-d700-461f-863d-b2575e546dfd','229578f8-6af5-4ebb-9a4b-4ba7d08e7ade','ci','b1a8caa1152b8c1979bfe6b06852043c0655ec0a1823ec42ce69748db2e65b1c','viewer',1795838195282535,NULL,NULL,NULL);
CREATE TABLE users (
	id TEXT NOT NULL, 
	username TEXT NOT NULL, 
	role TEXT NOT NULL, 
	password_hash TEXT NOT NULL, 
	generation INTEGER NOT NULL, 
	kept_token TEXT, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	CONSTRAINT pk_users PRIMARY KEY (id), 
	CONSTRAINT ck_users_username_length CHECK (length(username) BETWEEN 1 AND 64), 
	CONSTRAINT ck_users_role_known CHECK (role IN ('viewer', 'operator', 'manager', 'admin')), 
	CONSTRAINT ck_users_generation_counts CHECK (generation > 0), 
	CONSTRAINT uq_users_username UNIQUE (username)
);
INSERT INTO "users" VALUES('229578f8-6af5-4ebb-9a4b-4ba7d08e7ade','admin','admin','$2b$12$.pHB4Lm/HgQd0lQbrJIoYOeqahx5TUmzu5mwSwBjsDK4KNYaUeArC',1,NULL,1795838191716566,1795838191716566);
INSERT INTO "users" VALUES('e8a8cdc0-c5de-42b1-b74d-a5369683862b','ann','operator','$2b$12$B7qqmLQj1Sd77jb/a2iFkO2XnuQd3Oj4dWmgINxDSsGIEAQ1MS0Xq',1,NULL,1795838195253117,1795838195253117);
CREATE INDEX ix_dags_dag_name ON dags (dag_name);
CREATE INDEX ix_dags_definition_hash ON dags (definition_hash);
CREATE UNIQUE INDEX uq_runs_root ON runs (dag_name, run_id) WHERE root_id IS NULL;
CREATE UNIQUE INDEX uq_runs_child ON runs (root_id, run_id) WHERE root_id IS NOT NULL;
CREATE INDEX ix_runs_definition_hash ON runs (definition_hash);
CREATE INDEX ix_runs_trigger ON runs ("trigger", created_at);
CREATE INDEX ix_runs_parent_id ON runs (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX ix_runs_active_name ON runs (dag_name, status, queue) WHERE status IN (0, 1, 5) AND root_id IS NULL;
CREATE INDEX ix_runs_active_queue ON runs (queue, status) WHERE status IN (0, 1, 5) AND root_id IS NULL;
CREATE INDEX ix_runs_status ON runs (status, created_at DESC, run_id) WHERE root_id IS NULL;
CREATE INDEX ix_runs_root ON runs (created_at DESC, run_id) WHERE root_id IS NULL;
CREATE INDEX ix_runs_root_name ON runs (dag_name, created_at, status) WHERE root_id IS NULL;
CREATE INDEX ix_runs_child ON runs (created_at) WHERE root_id IS NOT NULL;
CREATE INDEX ix_runs_actor ON runs (actor, created_at) WHERE actor IS NOT NULL;
CREATE INDEX ix_runs_revision ON runs (dag_name, dag_revision, created_at) WHERE dag_revision IS NOT NULL;
CREATE INDEX ix_runs_duration ON runs ((finished_at - started_at)) WHERE root_id IS NULL AND finished_at IS NOT NULL;
CREATE INDEX ix_runs_long_id ON runs (run_id) WHERE root_id IS NULL AND length(run_id) > 36;
CREATE INDEX ix_dag_revisions_definition_hash ON dag_revisions (definition_hash);
CREATE INDEX ix_run_attempts_owner ON run_attempts (owner) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX uq_run_attempts_open ON run_attempts (run_id) WHERE closed_at IS NULL;
CREATE INDEX ix_run_requests_run_id ON run_requests (run_id);
CREATE INDEX ix_run_requests_waiting ON run_requests (id) WHERE handled_at IS NULL;
CREATE INDEX ix_tokens_user_id ON tokens (user_id);
CREATE UNIQUE INDEX uq_tokens_live_name ON tokens (user_id, name) WHERE revoked_at IS NULL;
CREATE INDEX ix_queue_entries_queue ON queue_entries (queue, priority DESC, place, id);
CREATE INDEX ix_changes_xact ON changes (xact, number) WHERE xact > 0;
CREATE INDEX ix_audit_actor ON audit (actor, at);
CREATE INDEX ix_audit_action ON audit (action, at);
CREATE INDEX ix_audit_name ON audit (name, at);
CREATE INDEX ix_audit_request_id ON audit (request_id, at);
CREATE INDEX ix_audit_at ON audit (at);
CREATE INDEX ix_run_tags_tag ON run_tags (tag, created_at, run_id);
CREATE INDEX ix_run_params_name ON run_params (name, value, created_at, run_id);
CREATE INDEX ix_run_errors_created_at ON run_errors (created_at, run_id);
CREATE INDEX ix_schedule_slots_minute ON schedule_slots (minute);
CREATE INDEX ix_schedule_slots_restarting ON schedule_slots (minute) WHERE outcome = 'restarting';
CREATE INDEX ix_schedule_slots_file_name ON schedule_slots (file_name, minute);
CREATE TRIGGER guard_definitions_insert BEFORE INSERT ON definitions
WHEN EXISTS (SELECT 1 FROM definitions WHERE hash = NEW.hash AND (spec <> NEW.spec OR base <> NEW.base))
BEGIN SELECT RAISE(ABORT, 'a definition cannot be replaced by another text'); END;
CREATE TRIGGER guard_definitions_update BEFORE UPDATE ON definitions
WHEN NOT (
  OLD.redacted_at IS NULL AND NEW.redacted_at IS NOT NULL AND NEW.redacted_by IS NOT NULL
  AND NEW.hash IS OLD.hash AND NEW.created_at IS OLD.created_at
  AND NEW.spec IS NULL AND (NEW.base IS NULL OR NEW.base IS OLD.base)
)
BEGIN SELECT RAISE(ABORT, 'a definition is never changed; its text may be redacted once, with time and name'); END;
CREATE TRIGGER guard_dag_revisions_update BEFORE UPDATE ON dag_revisions
BEGIN SELECT RAISE(ABORT, 'a saved revision is never changed'); END;
CREATE TRIGGER guard_runs_insert BEFORE INSERT ON runs
WHEN NEW.status NOT IN (0, 5)
BEGIN SELECT RAISE(ABORT, 'a run begins as not started or queued'); END;
CREATE TRIGGER guard_runs_status BEFORE UPDATE OF status, attempt ON runs
WHEN NEW.attempt = OLD.attempt AND NEW.status <> OLD.status AND NOT (
  (OLD.status IN (0, 5) AND NEW.status IN (1, 2, 3)) OR (OLD.status = 1 AND NEW.status IN (2, 3, 4, 6))
)
BEGIN SELECT RAISE(ABORT, 'a run cannot go from its status to this one in the same attempt'); END;
CREATE TRIGGER guard_runs_attempt BEFORE UPDATE OF status, attempt ON runs
WHEN NEW.attempt <> OLD.attempt AND NOT (
  (NEW.attempt = OLD.attempt + 1 AND OLD.status IN (2, 3, 4, 6) AND NEW.status IN (0, 1, 5))
  OR (
    NEW.attempt = OLD.attempt - 1 AND OLD.status = 5 AND NEW.status IN (2, 3, 4, 6)
    AND NEW.status IS (SELECT status FROM run_attempts WHERE run_id = NEW.id AND number = NEW.attempt)
  )
)
BEGIN SELECT RAISE(ABORT, 'a run cannot change to this attempt with this status'); END;
CREATE TRIGGER guard_run_attempts_status BEFORE UPDATE OF status ON run_attempts
WHEN OLD.status IN (2, 3, 4, 6) AND NEW.status <> OLD.status
BEGIN SELECT RAISE(ABORT, 'a closed attempt keeps its status'); END;
CREATE TRIGGER guard_run_attempts_closed BEFORE UPDATE OF closed_at ON run_attempts
WHEN OLD.closed_at IS NOT NULL AND NEW.closed_at IS NOT OLD.closed_at
BEGIN SELECT RAISE(ABORT, 'a closed attempt stays closed'); END;
CREATE TRIGGER guard_run_attempts_token BEFORE UPDATE OF owner, token ON run_attempts
WHEN NEW.token < OLD.token OR (NEW.token = OLD.token AND NEW.owner IS NOT OLD.owner)
BEGIN SELECT RAISE(ABORT, 'the token of an attempt only grows, and grows with every change of owner'); END;
CREATE TRIGGER guard_nodes_insert BEFORE INSERT ON nodes
WHEN NEW.status <> 0 AND (NEW.status = 1 OR NEW.attempt = 1)
BEGIN SELECT RAISE(ABORT, 'a node begins as not started, or in a retry with the status it keeps'); END;
CREATE TRIGGER guard_nodes_status BEFORE UPDATE OF status ON nodes
WHEN NEW.status <> OLD.status AND NOT (
  (OLD.status = 0 AND NEW.status IN (1, 2, 3, 5)) OR (OLD.status = 1 AND NEW.status IN (2, 3, 4, 5, 6))
  OR (
    OLD.status <> 1 AND NEW.status <> 1 AND NEW.edited_at IS NOT NULL AND NEW.edited_at IS NOT OLD.edited_at
    AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run_id AND status NOT IN (0, 1))
  )
)
BEGIN SELECT RAISE(ABORT, 'a node cannot go from its status to this one'); END;
CREATE TRIGGER guard_nodes_log_insert BEFORE INSERT ON nodes
WHEN NEW.log_attempt >= NEW.attempt
BEGIN SELECT RAISE(ABORT, 'the log that a node has kept is that of an earlier attempt'); END;
CREATE TRIGGER guard_nodes_log_update BEFORE UPDATE OF log_attempt ON nodes
WHEN NEW.log_attempt IS NOT OLD.log_attempt
BEGIN SELECT RAISE(ABORT, 'whose log a node shows is settled when it begins'); END;
CREATE TRIGGER guard_run_events_insert BEFORE INSERT ON run_events
WHEN NEW.seq <> COALESCE((SELECT seq FROM run_events WHERE run_id = NEW.run_id ORDER BY seq DESC LIMIT 1), 0) + 1
BEGIN SELECT RAISE(ABORT, 'the events of a run are numbered from one without gaps'); END;
CREATE TRIGGER guard_run_events_update BEFORE UPDATE ON run_events
BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END;
CREATE TRIGGER guard_run_events_delete BEFORE DELETE ON run_events
WHEN EXISTS (SELECT 1 FROM runs WHERE id = OLD.run_id)
BEGIN SELECT RAISE(ABORT, 'an event goes only together with its run'); END;
CREATE TRIGGER guard_log_chunks_insert BEFORE INSERT ON log_chunks
WHEN CASE NEW.seq
  WHEN 0 THEN NEW.first_line <> 1 OR NEW.byte_offset <> 0
  ELSE NOT EXISTS (
    SELECT 1 FROM log_chunks
    WHERE run_id = NEW.run_id AND attempt = NEW.attempt AND position = NEW.position AND stream = NEW.stream
      AND seq = NEW.seq - 1 AND first_line + line_count = NEW.first_line AND byte_offset + byte_count = NEW.byte_offset
  )
END
BEGIN SELECT RAISE(ABORT, 'a log chunk continues where the one before it ended'); END;
CREATE TRIGGER guard_log_chunks_update BEFORE UPDATE ON log_chunks
BEGIN SELECT RAISE(ABORT, 'a log chunk is never changed'); END;
CREATE TRIGGER guard_audit_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'an audit entry is never changed'); END;
CREATE TRIGGER guard_audit_delete BEFORE DELETE ON audit
WHEN (SELECT pruned_at FROM audit_seals WHERE last_id >= OLD.id ORDER BY last_id LIMIT 1) IS NULL
BEGIN SELECT RAISE(ABORT, 'an audit entry goes only when the seal over it is marked as pruned'); END;
CREATE TRIGGER guard_audit_seals_insert BEFORE INSERT ON audit_seals
WHEN NEW.pruned_at IS NOT NULL
  OR NEW.number <> COALESCE((SELECT number FROM audit_seals ORDER BY number DESC LIMIT 1), 0) + 1
  OR NEW.first_id <= COALESCE((SELECT last_id FROM audit_seals ORDER BY number DESC LIMIT 1), 0)
BEGIN SELECT RAISE(ABORT, 'a seal follows the last one, in its number and in its entries'); END;
CREATE TRIGGER guard_audit_seals_update BEFORE UPDATE ON audit_seals
WHEN NOT (
  OLD.pruned_at IS NULL AND NEW.pruned_at IS NOT NULL AND NEW.marks IS NULL
  AND NEW.number IS OLD.number AND NEW.first_id IS OLD.first_id AND NEW.last_id IS OLD.last_id
  AND NEW.entries IS OLD.entries AND NEW.digest IS OLD.digest AND NEW.hash IS OLD.hash
  AND NEW.signature IS OLD.signature AND NEW.sealed_at IS OLD.sealed_at
  AND NOT EXISTS (SELECT 1 FROM audit_seals WHERE number = OLD.number - 1 AND pruned_at IS NULL)
)
BEGIN SELECT RAISE(ABORT, 'a seal is never changed; it may be marked as pruned once, after those before it'); END;
CREATE TRIGGER guard_audit_seals_delete BEFORE DELETE ON audit_seals
BEGIN SELECT RAISE(ABORT, 'a seal is kept for ever'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('changes',36);
INSERT INTO "sqlite_sequence" VALUES('audit',14);
INSERT INTO "sqlite_sequence" VALUES('dags',2);
INSERT INTO "sqlite_sequence" VALUES('runs',7532291429812599326);
INSERT INTO "sqlite_sequence" VALUES('queue_entries',3);
COMMIT;
