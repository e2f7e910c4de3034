mod failover;
mod hold;
mod life;
mod random;
mod sim;
