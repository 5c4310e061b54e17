//! A fast upstream to measure proxies with: answers everything with 200 and as many bytes as asked.
//!
//! `upstream [ADDR] [BYTES]`; prints the address that it listens on.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments
        .next()
        .as_deref()
        .unwrap_or("127.0.0.1:0")
        .parse()?;
    let bytes: usize = arguments.next().as_deref().unwrap_or("1024").parse()?;
    let body = "x".repeat(bytes);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n{body}");
    let answer: &'static [u8] = answer.leak().as_bytes();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream, answer));
        }
    })
}

/// Answers each head that comes; requests have no bodies.
async fn serve(mut stream: TcpStream, answer: &[u8]) {
    let _ = stream.set_nodelay(true);
    let mut read = Vec::with_capacity(4_096);
    loop {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if read.ends_with(b"\r\n\r\n") {
            read.clear();
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}
