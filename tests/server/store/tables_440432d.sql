-- A database that commit 440432d has made: three accounts, one of them locked and one disabled, with sessions, and
-- an address. The passwords are `correct horse`, `battery staple` and `пароль жени`, hashed at the least cost. Times are of 2026-11-27.
BEGIN TRANSACTION;
CREATE TABLE accounts (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name TEXT NOT NULL, 
	canonical TEXT NOT NULL, 
	password_hash TEXT NOT NULL, 
	password_version INTEGER NOT NULL, 
	disabled BOOLEAN NOT NULL, 
	source TEXT NOT NULL, 
	created DOUBLE NOT NULL, 
	UNIQUE (canonical)
);
INSERT INTO "accounts" VALUES(1,'Alice','alice','$argon2id$v=19$m=64,t=1,p=1$/58zRmhNSanVute6NwaglA$7BDHFXsCpPO4MOtWtByyv+B4a2vakZoFdXAGtDdIRCg',1,0,'127.0.0.1',1.79573966485878038401e+09);
INSERT INTO "accounts" VALUES(2,'Bob','bob','$argon2id$v=19$m=64,t=1,p=1$ec9Z6/0/hzBGyLl3jvFeCw$K7vhN67m8xe6Rq3FHN9JNKT5jdjZ/MX1mRYxBhBMdbY',1,0,'127.0.0.2',1.79573966486865234373e+09);
INSERT INTO "accounts" VALUES(3,'Женя','женя','$argon2id$v=19$m=64,t=1,p=1$oBTinPM+J6QUAkAo5TxHqA$RBIYUquEsh7/3AqDGKJPbeyI7DIdYYvxEtgy5TWH4lk',1,1,'127.0.0.1',1.79573966488177680974e+09);
CREATE TABLE addresses (
	address TEXT NOT NULL, 
	name TEXT NOT NULL, 
	source TEXT NOT NULL, 
	created DOUBLE NOT NULL, 
	PRIMARY KEY (address)
);
INSERT INTO "addresses" VALUES('127.0.0.5','Home computer','127.0.0.5',1.79573967450458550458e+09);
CREATE TABLE failures (
	canonical TEXT NOT NULL, 
	source TEXT NOT NULL, 
	guesses INTEGER NOT NULL, 
	locked_until DOUBLE NOT NULL, 
	last DOUBLE NOT NULL, 
	PRIMARY KEY (canonical, source)
);
INSERT INTO "failures" VALUES('bob','',6,1.79573969497365713114e+09,1.79573966497365713123e+09);
CREATE TABLE logins (
	account_id INTEGER NOT NULL, 
	address TEXT NOT NULL, 
	source TEXT NOT NULL, 
	last DOUBLE NOT NULL, 
	PRIMARY KEY (account_id, address), 
	FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
INSERT INTO "logins" VALUES(1,'127.0.0.1','127.0.0.1',1.79573966486169338228e+09);
INSERT INTO "logins" VALUES(2,'127.0.0.2','127.0.0.2',1.79573966486993741994e+09);
INSERT INTO "logins" VALUES(3,'127.0.0.1','127.0.0.1',1.79573966488300490376e+09);
INSERT INTO "logins" VALUES(1,'127.0.0.3','127.0.0.3',1.79573966492728257175e+09);
CREATE TABLE revocations (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	account_id INTEGER NOT NULL, 
	session_id INTEGER, 
	created DOUBLE NOT NULL
);
INSERT INTO "revocations" VALUES(1,3,NULL,1.79573967505543971058e+09);
CREATE TABLE sessions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	account_id INTEGER NOT NULL, 
	token_hash BLOB NOT NULL, 
	token_issued DOUBLE NOT NULL, 
	previous_hash BLOB, 
	previous_until DOUBLE, 
	created DOUBLE NOT NULL, 
	last_used DOUBLE NOT NULL, 
	FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE, 
	UNIQUE (token_hash), 
	UNIQUE (previous_hash)
);
INSERT INTO "sessions" VALUES(1,1,X'16E906B2065EF501A04F37187BFF0B9D2734B04B0A8A12C94E62DC2D5FB76B97',1.7957396648606383801e+09,NULL,NULL,1.7957396648606383801e+09,1.7957396648606383801e+09);
INSERT INTO "sessions" VALUES(2,2,X'D07792582EC128A500B6548B4373D0BFB78D1733BD08BFE3B5A67AFB68DFBE31',1.79573966486971497535e+09,NULL,NULL,1.79573966486971497535e+09,1.79573966486971497535e+09);
INSERT INTO "sessions" VALUES(4,1,X'67F5A0D1713D51A3DC45BB005ED7102FEDCC6593808AFFBA8A1D58888D12B0B2',1.79573966492704033856e+09,NULL,NULL,1.79573966492704033856e+09,1.79573966492704033856e+09);
CREATE TABLE skeletons (
	skeleton TEXT NOT NULL, 
	account_id INTEGER NOT NULL, 
	PRIMARY KEY (skeleton), 
	FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
INSERT INTO "skeletons" VALUES('alice',1);
INSERT INTO "skeletons" VALUES('allce',1);
INSERT INTO "skeletons" VALUES('bob',2);
INSERT INTO "skeletons" VALUES('жehя',3);
INSERT INTO "skeletons" VALUES('жeʜя',3);
CREATE INDEX ix_addresses_source ON addresses (source);
CREATE INDEX ix_accounts_source ON accounts (source);
CREATE INDEX ix_skeletons_account_id ON skeletons (account_id);
CREATE INDEX logins_by_address ON logins (address, last);
CREATE INDEX ix_sessions_account_id ON sessions (account_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('accounts',3);
INSERT INTO "sqlite_sequence" VALUES('sessions',4);
INSERT INTO "sqlite_sequence" VALUES('revocations',1);
COMMIT;
