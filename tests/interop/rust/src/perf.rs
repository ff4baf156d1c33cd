//! `/perf/1.0.0`: u64 BE "bytes you owe me", the upload, end; then the other side pays and ends.
//! The published perf crate stands on an older libp2p, so both halves are written here.

use std::{io, time::Instant};

use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{PeerId, Stream, StreamProtocol};
use serde_json::json;

pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/perf/1.0.0");

/// Serves every incoming stream and says what was counted.
pub async fn serve(mut control: libp2p_stream::Control) {
    let mut incoming = control.accept(PROTOCOL).expect("nobody else serves perf");
    while let Some((peer, mut stream)) = incoming.next().await {
        tokio::spawn(async move {
            match answer(&mut stream).await {
                Ok((received, sent)) => println!(
                    "{}",
                    json!({"event": "served", "protocol": PROTOCOL.as_ref(),
                           "peer": peer.to_string(), "received": received, "sent": sent})
                ),
                Err(error) => eprintln!("perf with {peer}: {error}"),
            }
        });
    }
}

/// One direction on a stream of its own: returns the bytes counted and the seconds they took.
pub async fn run(
    control: &mut libp2p_stream::Control,
    peer: PeerId,
    upload: u64,
    download: u64,
) -> Result<(u64, f64), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut stream = control.open_stream(peer, PROTOCOL).await?;
    stream.write_all(&download.to_be_bytes()).await?;
    write_zeros(&mut stream, upload).await?;
    stream.close().await?;
    let received = read_to_end(&mut stream).await?;
    if received != download {
        return Err(format!("asked for {download} bytes, received {received}").into());
    }
    Ok((upload + received, start.elapsed().as_secs_f64()))
}

async fn answer(stream: &mut Stream) -> io::Result<(u64, u64)> {
    let mut owed = [0; 8];
    stream.read_exact(&mut owed).await?;
    let owed = u64::from_be_bytes(owed);
    let received = read_to_end(stream).await?;
    write_zeros(stream, owed).await?;
    stream.close().await?;
    Ok((received, owed))
}

async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    let mut buf = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(total),
            n => total += n as u64,
        }
    }
}

async fn write_zeros(stream: &mut Stream, mut left: u64) -> io::Result<()> {
    let block = vec![0; 64 << 10];
    while left > 0 {
        let n = left.min(block.len() as u64);
        stream.write_all(&block[..n as usize]).await?;
        left -= n;
    }
    stream.flush().await
}
