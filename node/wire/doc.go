// Package wire turns the packets of the Mochimo peer-to-peer protocol into bytes
// and back (docs/spec/network.md).  It opens no connection and reads no clock:
// [Read] takes any reader, and whoever owns the connection sets its deadlines.
//
// # Who is to blame
//
// A packet that can't be used is an [*Error], and its kind says what it proves.
// The CRC is looked at before anything that could be held against the sender,
// because a damaged line alters a network number as easily as it alters data:
//
//	TooLong     the announced length is above the limit, and the data weren't
//	            read.  Proves nothing: the length may be damaged
//	CRC         proves nothing: somebody on the way may have altered it
//	BadNetwork  under a right CRC, so the sender meant it
//	BadMark     under a right CRC, which doesn't cover the mark: damage to
//	            these two bytes alone looks the same, so once proves little
//	BadIDs      as BadNetwork; the caller asks with CheckIDs after Read
//
// Everything else that Read returns is the reader's error, with io.EOF for a
// stream that ended between packets and io.ErrUnexpectedEOF inside one.
//
// # What a peer's number may cost
//
// The length field is believed only up to the limit that the caller gives for
// the packet's operation.  Before that nothing beyond the header is read, and no
// memory is set aside.
package wire
