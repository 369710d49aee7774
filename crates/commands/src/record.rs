//! One contiguous record of effects, as it goes into the log: commands in RESP, with a SELECT where the database changes.
//!
//! Commands are encoded when they are pushed, so nothing is copied twice; the buffer is reused from record to record. One
//! command stands as it is; several are wrapped in MULTI and EXEC, so that whoever applies them applies them together.

use resp_parser::encode_request;

/// Capacity that is kept from one record to the next.
const KEPT_BYTES_MAX: usize = 64 * 1024;

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

/// See the file's head.
#[derive(Debug, Default)]
pub struct Record {
    bytes: Vec<u8>,
    first_db: u32,
    last_db: u32,
    commands: usize,
}

impl Record {
    /// Adds a command, to be applied in a database.
    pub fn push<A: AsRef<[u8]>>(&mut self, db: u32, args: impl IntoIterator<Item = A>) {
        if self.commands == 0 {
            self.first_db = db;
        } else if self.last_db != db {
            encode_request([&b"SELECT"[..], itoa::Buffer::new().format(db).as_bytes()], &mut self.bytes);
        }
        self.last_db = db;
        self.commands += 1;
        encode_request(args, &mut self.bytes);
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.commands == 0
    }

    /// The database that must be selected before the first command of this record, behind its MULTI if it has one.
    pub fn first_db(&self) -> u32 {
        self.first_db
    }

    /// The database that is selected after it.
    pub fn last_db(&self) -> u32 {
        self.last_db
    }

    /// The bytes, in order: MULTI if there are several commands, the commands, EXEC.
    pub fn parts(&self) -> [&[u8]; 3] {
        let (before, after) = if self.commands > 1 { (MULTI, EXEC) } else { (&b""[..], &b""[..]) };
        [before, &self.bytes, after]
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.commands = 0;
        self.bytes.clear();
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(record: &Record) -> String {
        String::from_utf8(record.parts().concat()).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn one_command_stands_as_it_is_and_several_are_wrapped() {
        let mut record = Record::default();
        assert!(record.is_empty());
        record.push(3, ["DEL", "a"]);
        assert_eq!(text(&record), "*2 $3 DEL $1 a ");
        record.push(3, ["DEL", "b"]);
        record.push(0, ["DEL", "c"]);
        assert_eq!(
            text(&record),
            "*1 $5 MULTI *2 $3 DEL $1 a *2 $3 DEL $1 b *2 $6 SELECT $1 0 *2 $3 DEL $1 c *1 $4 EXEC "
        );
        assert_eq!((record.first_db(), record.last_db()), (3, 0));
        record.clear();
        assert!(record.is_empty());
    }
}
